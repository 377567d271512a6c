"""Bone lengths that a human body can have."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS, EDGES, JOINTS

#: Length of the bone that ends in a joint as a share of the stature: Drillis and Contini, "Body
#: Segment Parameters", 1966, as in Winter, "Biomechanics and Motor Control of Human Movement",
#: Fig. 4.1 (trunk and neck divided among our spine joints).
_SHARE_OF_STATURE = {
    "Neck": 0.085,
    "UpperSpine": 0.09,
    "MiddleSpine": 0.15,
    "DownSpine": 0.15,
    "Shoulder": 0.129,
    "Elbow": 0.186,
    "Wrist": 0.146,
    "Hand": 0.054,
    "Hip": 0.0955,
    "Knee": 0.245,
    "Foot": 0.246,
}
_TALLEST = 2.1  # metres
#: Estimates of hidden joints may be off by so much; hands are the least certain.
_TOLERANCE = 1.3
_HAND_TOLERANCE = 1.6
#: Maximum number of bones beyond their limit.  With hidden limbs one is common: 19 % of the
#: people in rendered rooms have at least one, 1 % have three; 8 % of the false positives in real
#: rooms have three.
MAX_LONG_BONES = 2


def _max_length(child: str) -> float:
    part = child.removeprefix("Left").removeprefix("Right")
    tolerance = _HAND_TOLERANCE if part == "Hand" else _TOLERANCE
    return _SHARE_OF_STATURE[part] * _TALLEST * tolerance


#: (18,) metres: longest bone of each edge of :data:`depth_pose_ros.core.skeleton.EDGES`.
MAX_BONE_LENGTHS: NDArray[np.float64] = np.array([_max_length(JOINTS[c]) for c in EDGE_CHILDREN])


def bone_lengths(joints: NDArray[np.floating]) -> NDArray[np.floating]:
    """(..., 19, 3) metres -> (..., 18) metres, by edge."""
    bones = joints[..., EDGE_CHILDREN, :] - joints[..., EDGE_PARENTS, :]
    return np.asarray(np.linalg.norm(bones, axis=-1))


def is_plausible(joints: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(..., 19, 3) metres -> (...): at most :data:`MAX_LONG_BONES` bones are beyond their limit.

    There is no lower limit: people seen from above or along a limb have short bones.
    """
    return np.asarray((bone_lengths(joints) > MAX_BONE_LENGTHS).sum(-1) <= MAX_LONG_BONES)


def limit_bones(joints: NDArray[np.floating]) -> NDArray[np.floating]:
    """Shorten bones that exceed their limit, from the root outwards.

    The child joint moves along the bone towards its parent.

    Args:
        joints: (..., 19, 3) metres.

    Returns:
        (..., 19, 3) metres, with no bone longer than :data:`MAX_BONE_LENGTHS`.
    """
    limited = joints.copy()
    for edge, limit in zip(EDGES, MAX_BONE_LENGTHS, strict=True):  # parents come first
        parent = limited[..., edge.parent, :]
        bone = limited[..., edge.child, :] - parent
        length = np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-9)
        limited[..., edge.child, :] = parent + bone * np.minimum(1.0, limit / length)
    return limited
