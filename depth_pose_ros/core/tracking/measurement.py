"""Valid joints of a pose."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import skeleton
from depth_pose_ros.core.pose import Pose

Array = NDArray[np.float64]

#: The joints whose mean is the position of a person.
SPINE = list(skeleton.SPINE)
_MAX_COORDINATE = 100.0  # metres: beyond the range of any depth camera


def is_valid(joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(19, 3) -> (19,): which joints are finite and within range."""
    with np.errstate(invalid="ignore"):
        valid: NDArray[np.bool_] = np.all(np.abs(joints) < _MAX_COORDINATE, axis=1)
    return valid


def measurement(pose: Pose, default: Array) -> tuple[Array, Array]:
    """Joints (19, 3) and confidence (19,) of a pose.

    Invalid joints are replaced by ``default``, (19, 3) or (3,), with confidence 0.
    """
    valid = is_valid(pose.joints)
    joints = np.where(valid[:, None], pose.joints, default).astype(np.float64)
    confidence = np.clip(np.nan_to_num(pose.confidence.astype(np.float64)), 0.0, 1.0)
    return joints, np.where(valid, confidence, 0.0)
