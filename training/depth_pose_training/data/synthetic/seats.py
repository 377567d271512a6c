"""Something under a seated person that the person does not sink into."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic import furniture
from depth_pose_training.data.synthetic.bodies import PARTS
from depth_pose_training.data.synthetic.render import Mesh

Array = NDArray[np.float64]
_PART = {name: i for i, name in enumerate(PARTS)}
_LEAST = 0.15  #: metres: lower than this one sits on the floor
_SINK = 0.015  #: metres that a seat gives way


def seat(
    vertices: NDArray[np.float32], parts: Array, joints: Array, yaw: float, rng: np.random.Generator
) -> Mesh | None:
    """A chair, a sofa or a block that touches thighs and buttocks from below and, where it has a
    back, the back from behind.

    Args:
        vertices: (V, 3) the person in the world.
        parts: (V, len(PARTS)) of :class:`BodyModel`, one row per vertex (clothes' own left out).
        joints: (19, 3) in the world.
        yaw: how the person is turned; upright people of yaw 0 face -y.

    Returns:
        None where the pose leaves no room for a seat.
    """
    hips = joints[[INDEX["LeftHip"], INDEX["RightHip"]]].mean(0)
    turn = Rotation.from_euler("z", yaw).as_matrix()
    v = (vertices[: len(parts)] - (hips[0], hips[1], 0)) @ turn
    knees = (joints[[INDEX["LeftKnee"], INDEX["RightKnee"]]] - (hips[0], hips[1], 0)) @ turn
    main = parts.argmax(1)
    below = v[np.isin(main, (_PART["thigh"], _PART["trunk"])) & (np.abs(v[:, 1]) < 0.22)]
    shins = v[np.isin(main, (_PART["shin"], _PART["foot"]))]
    trunk = v[main == _PART["trunk"]]
    if len(below) == 0:
        return None
    top = float(below[:, 2].min()) + _SINK
    if top < _LEAST:
        return None
    rump = trunk[trunk[:, 2] < top + 0.15]
    back = float(rump[:, 1].max()) if len(rump) else 0.15
    # Nothing of a shin or foot may be where the block is.
    low = shins[(shins[:, 2] < top) & (np.abs(shins[:, 0]) < 0.45)]
    behind_shins = float(low[:, 1].max()) if len(low) else -0.4
    front = max(min(float(knees[:, 1].min()), -0.1) + 0.05, -0.6)
    kind = rng.random()
    if behind_shins > front and kind >= 0.45:
        front = behind_shins + 0.02
    if back - front < 0.2:
        return None
    rest = trunk[(trunk[:, 2] > top + 0.1)]
    lean = max(back, float(rest[:, 1].max()) if len(rest) else back) + 0.01
    width = float(np.ptp(below[:, 0]))
    if kind < 0.45:
        made = _chair(width, front, back, lean, top, rng)
    elif kind < 0.7 and lean - back < 0.15:
        made = _sofa(v, width, front, lean, top, rng)
    else:
        w = width + rng.uniform(-0.05, 0.4)
        made = furniture.box((w, back - front, top), (0, (front + back) / 2, top / 2))
    return furniture.move(made, (hips[0], hips[1], 0), yaw)


def _chair(
    width: float, front: float, back: float, lean: float, top: float, rng: np.random.Generator
) -> Mesh:
    w, middle, depth = max(width, 0.38), (front + back) / 2, back - front
    parts = [furniture.box((w, depth, 0.05), (0, middle, top - 0.025))]
    if lean - back < 0.3 and rng.random() < 0.8:
        high = rng.uniform(0.2, 0.7)
        parts.append(furniture.box((w, 0.05, high), (0, lean + 0.025, top + high / 2)))
    if rng.random() < 0.5:  # legs at the corners, behind the shins at the front
        parts += [
            furniture.box((0.04, 0.04, top - 0.05), (s * (w / 2 - 0.03), y, (top - 0.05) / 2))
            for s in (-1, 1)
            for y in (max(front + 0.03, middle), lean)
        ]
    else:
        foot = furniture.box((0.5 * w, 0.4 * depth, 0.04), (0, back - 0.2 * depth, 0.02))
        parts += [furniture.box((0.08, 0.08, top), (0, back - 0.3 * depth, top / 2)), foot]
    return furniture.join(parts)


def _sofa(
    v: Array, width: float, front: float, lean: float, top: float, rng: np.random.Generator
) -> Mesh:
    w, high = width + rng.uniform(0.2, 1.2), rng.uniform(0.25, 0.6)
    parts = [
        furniture.box((w, lean - front, top), (0, (front + lean) / 2, top / 2)),
        furniture.box((w, 0.2, top + high), (0, lean + 0.1, (top + high) / 2)),
    ]
    for s in (-1, 1):
        x, h = s * (w / 2 + 0.08), top + 0.2
        near = (np.abs(v[:, 0] - x) < 0.1) & (v[:, 2] < h) & (v[:, 1] > front)
        if not near.any():  # no elbow or knee where the arm rest would be
            parts.append(furniture.box((0.16, lean - front, h), (x, (front + lean) / 2, h / 2)))
    return furniture.join(parts)


def table(
    vertices: NDArray[np.float32], joints: Array, yaw: float, rng: np.random.Generator
) -> Mesh | None:
    """A table before a seated person, above the thighs and clear of trunk, arms and head."""
    hips = joints[[INDEX["LeftHip"], INDEX["RightHip"]]].mean(0)
    turn = Rotation.from_euler("z", yaw).as_matrix()
    v = (vertices - (hips[0], hips[1], 0)) @ turn
    legs = v[v[:, 1] < -0.15]
    shoulder = float(joints[INDEX["UpperSpine"], 2])
    high = float(rng.uniform(0.6, 0.85))
    if not hips[2] + 0.1 < high < shoulder or len(legs) == 0:
        return None
    slab = (v[:, 2] > high - 0.05) & (v[:, 2] < high + 0.03)
    # The edge is before everything that reaches through the table's height.
    edge = min(-0.2, float(v[slab, 1].min()) - 0.02) if slab.any() else -0.25
    if edge < -0.8:
        return None
    w, d = rng.uniform(0.7, 1.6), rng.uniform(0.5, 0.8)
    parts = [furniture.box((w, d, 0.03), (0, edge - d / 2, high - 0.015))]
    for s in (-1, 1):
        parts.append(furniture.box((0.05, d, high - 0.03), (s * w / 2, edge - d / 2, high / 2)))
    reach = np.abs(np.abs(v[:, 0]) - w / 2) < 0.05
    if (reach & (v[:, 2] < high) & (v[:, 1] < edge)).any():
        return None  # a foot stands where the table does
    return furniture.move(furniture.join(parts), (hips[0], hips[1], 0), yaw)
