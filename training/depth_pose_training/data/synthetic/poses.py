"""Poses from sampled joint angles: sitting, crouching, lying, reaching and others.

A pose is a stick figure, (19, 3) metres, z up; the body model uses only the directions of its
bones.  An upright person faces -y with the left side at +x.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS

Array = NDArray[np.float64]
_DOWN = np.array((0.0, 0.0, -1.0))


def _rot(axis: str, degrees: float | list[float]) -> Rotation:
    return Rotation.from_euler(axis, degrees, degrees=True)


def _arm(rng: np.random.Generator, side: float, reach: float) -> tuple[Array, Array, Array]:
    """Upper arm, forearm and hand directions in the chest frame; ``side`` is +1 for left."""
    if rng.random() < 0.35:  # hanging, or hands in front of the body
        upper = (_rot("x", rng.normal(-10, 22)) * _rot("y", -side * abs(rng.normal(10, 12)))).apply(
            _DOWN
        )
        flexion = abs(rng.normal(0, 45)) if rng.random() < 0.5 else rng.uniform(0, 130)
    else:
        while True:  # uniform over the directions that a shoulder can reach
            upper = rng.normal(size=3)
            upper /= np.linalg.norm(upper)
            backwards, inwards = upper[1], -side * upper[0]
            if backwards < 0.5 and inwards < 0.45 + 0.3 * reach and inwards + backwards < 0.6:
                break
        flexion = rng.uniform(0, 145) if rng.random() < 0.7 else abs(rng.normal(0, 15))
    # A random hinge axis, rejected if the hand would be behind the back.
    for _ in range(20):
        hinge = np.cross(upper, rng.normal(size=3))
        hinge /= np.linalg.norm(hinge) + 1e-9
        forearm = Rotation.from_rotvec(np.deg2rad(min(flexion, 150)) * hinge).apply(upper)
        if (upper + forearm)[1] < 0.45:
            break
    hand = Rotation.from_rotvec(np.deg2rad(rng.normal(0, 20)) * rng.normal(size=3)).apply(forearm)
    return upper, forearm, hand


def _leg(
    side: float, flexion: float, abduction: float, twist: float, knee: float
) -> tuple[Array, Array]:
    """Thigh and shin directions in the pelvis frame, angles in degrees."""
    frame = _rot("y", -side * abduction) * _rot("x", -flexion) * _rot("z", side * twist)
    thigh = frame.apply(_DOWN)
    shin = (frame * _rot("x", knee)).apply(_DOWN)
    return thigh, shin


def _standing(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    legs = []
    for _ in range(2):
        flex = rng.normal(3, 14)
        legs.append((flex, rng.normal(4, 5), rng.normal(8, 12), max(0.0, rng.normal(8, 12) + flex)))
    return legs


def _sitting(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    flex, knee = rng.uniform(70, 105), rng.uniform(55, 115)
    legs = [
        (flex + rng.normal(0, 5), rng.uniform(-3, 28), rng.normal(5, 15), knee + rng.normal(0, 12))
        for _ in range(2)
    ]
    if rng.random() < 0.1:  # legs crossed
        legs[0] = (flex + 15, -18, 20, knee)
    return legs


def _crouching(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    flex, knee = rng.uniform(50, 125), rng.uniform(60, 145)
    return [
        (flex + rng.normal(0, 10), rng.uniform(0, 35), rng.normal(8, 15), knee + rng.normal(0, 10))
        for _ in range(2)
    ]


def _kneeling(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    legs = [
        (rng.normal(8, 12), rng.uniform(0, 15), rng.normal(0, 8), rng.uniform(80, 130))
        for _ in range(2)
    ]
    if rng.random() < 0.5:  # on one knee
        legs[0] = (rng.uniform(70, 105), rng.uniform(0, 20), rng.normal(5, 8), rng.uniform(70, 110))
    return legs


def _lunging(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    return [
        (rng.uniform(25, 80), rng.uniform(0, 20), rng.normal(8, 8), rng.uniform(20, 90)),
        (rng.uniform(-35, 5), rng.uniform(0, 20), rng.normal(8, 8), rng.uniform(5, 60)),
    ]


def _kicking(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    return [
        (rng.uniform(20, 100), rng.uniform(0, 60), rng.normal(8, 8), rng.uniform(0, 110)),
        _standing(rng)[0],
    ]


_LEGS: dict[str, Callable[[np.random.Generator], list[tuple[float, float, float, float]]]] = {
    "standing": _standing,
    "sitting": _sitting,
    "crouching": _crouching,
    "kneeling": _kneeling,
    "lunging": _lunging,
    "kicking": _kicking,
    "bending": _standing,
    "lying": _standing,
}

#: Names of the modes; ``generator.yaml`` has their probabilities.
MODES: tuple[str, ...] = tuple(_LEGS)


def sample(rng: np.random.Generator, mode: str) -> tuple[Array, str]:
    """One stick figure (19, 3) of a mode (one of MODES), and the mode; the pelvis is the origin."""
    lean = rng.normal(4, 9)
    if mode == "bending":
        lean = rng.uniform(30, 95)
    elif mode in ("crouching", "kneeling", "lunging"):
        lean = rng.normal(20, 18)
    elif mode == "sitting":
        lean = rng.normal(0, 16)
    pelvis_lean = lean * rng.uniform(0.2, 0.7)
    pelvis = _rot("y", rng.normal(0, 4)) * _rot("x", pelvis_lean)
    spine_twist = _rot("z", rng.normal(0, 14)) * _rot("y", rng.normal(0, 8))
    chest = pelvis * _rot("x", lean - pelvis_lean) * spine_twist
    middle = Rotation.concatenate([pelvis, chest]).mean()

    p: dict[str, Array] = {"DownSpine": np.zeros(3)}
    p["MiddleSpine"] = middle.apply((0.0, 0.0, 0.22))
    p["UpperSpine"] = p["MiddleSpine"] + chest.apply((0.0, 0.0, 0.24))
    p["Neck"] = p["UpperSpine"] + chest.apply((0.0, 0.01, 0.09))
    head = chest * _rot("y", rng.normal(0, 9)) * _rot("x", rng.normal(-0.4 * max(lean, 0), 14))
    p["Head"] = p["Neck"] + head.apply((0.0, -0.02, 0.16))
    legs = _LEGS[mode](rng)
    if rng.random() < 0.5:
        legs = legs[::-1]
    reach = 1.0 if rng.random() < 0.5 else 0.0
    for name, side, leg in (("Left", 1.0, legs[0]), ("Right", -1.0, legs[1])):
        p[name + "Shoulder"] = p["UpperSpine"] + chest.apply((side * 0.18, 0.0, -0.01))
        upper, forearm, hand = (chest.apply(d) for d in _arm(rng, side, reach))
        p[name + "Elbow"] = p[name + "Shoulder"] + 0.29 * upper
        p[name + "Wrist"] = p[name + "Elbow"] + 0.26 * forearm
        p[name + "Hand"] = p[name + "Wrist"] + 0.09 * hand
        p[name + "Hip"] = pelvis.apply((side * 0.10, 0.0, -0.01))
        flex, abduct, twist, knee = leg
        # The lean of the pelvis does not turn the thighs: the legs stay upright.
        thigh, shin = _leg(side, flex, abduct, twist, float(np.clip(knee, 0, 150)))
        p[name + "Knee"] = p[name + "Hip"] + 0.42 * thigh
        p[name + "Foot"] = p[name + "Knee"] + 0.41 * shin
    pose = np.zeros((NUM_JOINTS, 3))
    for joint, position in p.items():
        pose[INDEX[joint]] = position
    if mode == "lying":
        tilt = _rot("z", rng.uniform(-180, 180)) * _rot("x", rng.choice((-90.0, 90.0)))
        pose = (tilt * _rot("z", rng.choice((0.0, 0.0, 90.0, -90.0)))).apply(pose)
    return pose, mode
