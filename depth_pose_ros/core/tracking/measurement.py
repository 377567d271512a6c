"""What of a pose can be worked with."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.pose import Pose

Array = NDArray[np.float64]

_REMOTE = 100.0  # metres: no depth camera sees farther


def somewhere(joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(19, 3) -> (19,): which joints are numbers, and within reach."""
    with np.errstate(invalid="ignore"):
        known: NDArray[np.bool_] = np.all(np.abs(joints) < _REMOTE, axis=1)
    return known


def measurement(pose: Pose, instead: Array) -> tuple[Array, Array]:
    """A pose's joints (19, 3) and confidence (19,); those that are nowhere become ``instead``'s,
    (19, 3) or (3,), with confidence 0."""
    known = somewhere(pose.joints)
    joints = np.where(known[:, None], pose.joints, instead).astype(np.float64)
    confidence = np.clip(np.nan_to_num(pose.confidence.astype(np.float64)), 0.0, 1.0)
    return joints, np.where(known, confidence, 0.0)
