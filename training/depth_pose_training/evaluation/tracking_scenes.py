"""Simulated estimates over time with known truth: crossing people, a waving hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, JOINTS, NUM_JOINTS

Array = NDArray[np.float64]

#: Metres from the middle of the hips of a person 1.7 m tall: to the person's left, up.
_STANDING = {
    "Head": (0.0, 0.68),
    "Neck": (0.0, 0.53),
    "UpperSpine": (0.0, 0.45),
    "MiddleSpine": (0.0, 0.22),
    "DownSpine": (0.0, 0.02),
    "LeftShoulder": (0.17, 0.42),
    "LeftElbow": (0.22, 0.14),
    "LeftWrist": (0.24, -0.10),
    "LeftHand": (0.24, -0.18),
    "LeftHip": (0.09, 0.0),
    "LeftKnee": (0.10, -0.40),
    "LeftFoot": (0.10, -0.80),
}
_SWING = {"Elbow": 0.08, "Wrist": 0.2, "Hand": 0.22, "Knee": 0.15, "Foot": 0.3}  # metres, walking
_STRIDES = 0.9  # Hz
_HIDING = 0.35  # metres, lateral distance below which the person behind is missed


@dataclass(frozen=True)
class Scene:
    """Estimates of some frames, and the truth.

    Attributes:
        stamps: (N,) seconds.
        truth: (people, N, 19, 3) metres, optical frame; NaN where a person is absent.
        poses: estimates, one list per frame.
    """

    stamps: Array
    truth: Array
    poses: Sequence[Sequence[Pose]]


def walker(path: Array, stamps: Array, tall: float, phase: float = 0.0) -> Array:
    """(N, 2) metres (x, z) of the hips -> (N, 19, 3) metres: a walking person who looks ahead."""
    velocity = np.gradient(path, stamps, axis=0)
    heading = np.arctan2(velocity[:, 0], -velocity[:, 1])  # 0 comes towards the camera
    left = np.stack((np.cos(heading), np.sin(heading)), -1)
    ahead = np.stack((np.sin(heading), -np.cos(heading)), -1)
    swing = np.sin(2 * np.pi * _STRIDES * stamps + phase)
    joints = np.zeros((len(stamps), NUM_JOINTS, 3))
    for name, k in INDEX.items():
        side = -1.0 if name.startswith("Right") else 1.0
        out, up = _STANDING[name.replace("Right", "Left")]
        part = next((p for p in _SWING if name.endswith(p)), "")
        forward = side * _SWING.get(part, 0.0) * swing * (1 if part in ("Knee", "Foot") else -1)
        ground = path + tall * (side * out * left + forward[:, None] * ahead)
        joints[:, k] = np.stack((ground[:, 0], np.full(len(stamps), -tall * up), ground[:, 1]), -1)
    return joints


def estimated(truth: Array, rng: np.random.Generator, noise: float = 0.012) -> tuple[Array, Array]:
    """Simulated estimate of (N, 19, 3): joints with noise, and confidence (N, 19).

    Joints of low confidence have more noise, and one in a hundred is an outlier.  ``noise`` is the
    standard deviation at confidence 1 in metres; along the optical axis it is 1.7 times as large.
    """
    count = truth.shape[:2]
    confidence = rng.beta(14, 2, count)
    uncertain = rng.random(count) < 0.05
    confidence[uncertain] = rng.uniform(0.2, 0.6, uncertain.sum())
    sigma = noise * (1 + 4 * (1 - confidence))[..., None] * (1.0, 1.0, 1.7)
    joints = truth + rng.standard_normal(truth.shape) * sigma
    outlier = rng.random(count) < 0.01
    joints[outlier] += rng.standard_normal((int(outlier.sum()), 3)) * 0.2
    return joints, confidence


def pose(joints: Array, confidence: Array, score: float) -> Pose:
    """A pose from (19, 3) and (19,); its pixels are those of a nominal camera."""
    pixels = joints[:, :2] / np.maximum(joints[:, 2:], 0.1) * 365 + (256, 212)
    f32 = np.float32
    return Pose(joints.astype(f32), pixels.astype(f32), confidence.astype(f32), score)


def crossing(seed: int, fps: float = 30.0, seconds: float = 6.0, people: int = 2) -> Scene:
    """People who walk past each other in front of the camera, back and forth.

    Hidden people are missed; one estimate in twenty is dropped, one in thirty is duplicated, and
    there are occasional false positives.
    """
    rng = np.random.default_rng(seed)
    stamps = np.arange(round(seconds * fps)) / fps
    truth = []
    for i in range(people):
        middle, depth = rng.uniform(-0.3, 0.3), 2.0 + 0.7 * i + rng.uniform(-0.1, 0.1)
        turn = 2 * np.pi * rng.uniform(0.12, 0.2) * stamps + np.pi * i + rng.uniform(-0.4, 0.4)
        path = np.stack((middle + 1.1 * np.cos(turn), depth + 0.1 * np.sin(turn)), -1)
        truth.append(walker(path, stamps, rng.uniform(0.88, 1.12), rng.uniform(0, 6)))
    estimates = [estimated(joints, rng) for joints in truth]
    spine = np.stack(truth)[:, :, INDEX["MiddleSpine"]]
    frames = []
    for t in range(len(stamps)):
        found = []
        for i, (joints, confidence) in enumerate(estimates):
            nearer = spine[:, t, 2] < spine[i, t, 2] - 0.1
            if (nearer & (np.abs(spine[:, t, 0] - spine[i, t, 0]) < _HIDING)).any():
                continue
            if rng.random() < 0.05:
                continue
            found.append(pose(joints[t], confidence[t], 0.8))
            if rng.random() < 1 / 30:
                found.append(pose(joints[t] + 0.03, confidence[t] * 0.8, 0.6))
        if rng.random() < 0.02:
            false_positive = walker(
                rng.uniform((-2, 3), (2, 5), (1, 2)).repeat(2, 0), stamps[:2], 1.0
            )[0]
            found.append(pose(false_positive, np.full(NUM_JOINTS, 0.3), 0.4))
        order = rng.permutation(len(found))
        frames.append([found[k] for k in order])
    return Scene(stamps, np.stack(truth), frames)


def waving(seed: int, fps: float = 30.0, seconds: float = 8.0) -> Scene:
    """A standing person who moves the right hand on a figure of eight, up to 2 m/s."""
    rng = np.random.default_rng(seed)
    stamps = np.arange(round(seconds * fps)) / fps
    still = np.tile((0.0, 2.5), (len(stamps), 1)) + 1e-6 * stamps[:, None] * (0, -1)
    truth = walker(still, stamps, 1.0)
    truth[:] = truth[0] - (truth[0] - truth.mean(0))  # no swing of arms and legs
    angle = 2 * np.pi * 0.7 * stamps
    circle = np.stack((0.25 * np.sin(angle), 0.2 * np.sin(2 * angle), 0.1 * np.cos(angle)), -1)
    for name, share in (("RightElbow", 0.4), ("RightWrist", 0.9), ("RightHand", 1.0)):
        truth[:, JOINTS.index(name)] += share * circle + np.array((0, -0.4, -0.25)) * share
    joints, confidence = estimated(truth, rng)
    return Scene(
        stamps,
        truth[None],
        [[pose(j, c, 0.9)] for j, c in zip(joints, confidence, strict=True)],
    )


def write_estimates(path: Path, frames: Sequence[Sequence[Pose]]) -> None:
    """Write estimates to an .npz: joints as integers in millimetres, confidence in 1/255."""
    poses = [pose for frame in frames for pose in frame]
    np.savez_compressed(
        path,
        count=np.array([len(frame) for frame in frames], np.uint8),
        joints=np.array([np.round(pose.joints * 1000) for pose in poses], np.int16),
        confidence=np.array([np.round(pose.confidence * 255) for pose in poses], np.uint8),
        score=np.array([pose.score for pose in poses], np.float32),
    )


def read_estimates(path: Path) -> list[list[Pose]]:
    """Read the file of :func:`write_estimates`; pixels are those of a nominal camera."""
    with np.load(path) as data:
        poses = iter(
            [
                pose(joints / 1000, confidence / 255, float(score))
                for joints, confidence, score in zip(
                    data["joints"], data["confidence"], data["score"], strict=True
                )
            ]
        )
        return [[next(poses) for _ in range(count)] for count in data["count"]]
