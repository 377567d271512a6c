"""Poses from motion capture, split by clip.

The world is z up; the left of a person who faces -y is +x, as in the body model's rest pose.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import JOINTS

_NAMES = {
    "Head": "head",
    "Neck": "neck",
    "UpperSpine": "spine_shoulder",
    "MiddleSpine": "spine_mid",
    "DownSpine": "spine_base",
    "RightShoulder": "r_shoulder",
    "RightElbow": "r_elbow",
    "RightWrist": "r_wrist",
    "RightHand": "r_hand",
    "LeftShoulder": "l_shoulder",
    "LeftElbow": "l_elbow",
    "LeftWrist": "l_wrist",
    "LeftHand": "l_hand",
    "RightHip": "r_hip",
    "RightKnee": "r_knee",
    "RightFoot": "r_ankle",
    "LeftHip": "l_hip",
    "LeftKnee": "l_knee",
    "LeftFoot": "l_ankle",
}

#: Every n-th clip is a validation clip.
VALIDATION_STRIDE = 8


def load_clips(path: Path) -> list[NDArray[np.float32]]:
    """Read a file of motions with 19 joints.

    Args:
        path: an .npz with ``pos`` (N, 19, 3) metres, y up, ``joints`` and each clip's ``start``.

    Returns:
        One (T, 19, 3) float32 array per clip, in the project's joint order, z up.

    Raises:
        ValueError: the file lacks one of the 19 joints.
    """
    with np.load(path) as data:
        names = [str(n) for n in data["joints"]]
        missing = [n for n in _NAMES.values() if n not in names]
        if missing:
            raise ValueError(f"{path}: joints {missing} are missing, it has {names}")
        pos = data["pos"][:, [names.index(_NAMES[j]) for j in JOINTS]]
        start = data["start"]
    z_up = np.stack((pos[..., 0], -pos[..., 2], pos[..., 1]), axis=-1).astype(np.float32)
    return [z_up[a:b] for a, b in pairwise(start)]


def split(clips: list[NDArray[np.float32]], validation: bool) -> list[NDArray[np.float32]]:
    """Clips of the validation or the training split."""
    return [c for i, c in enumerate(clips) if (i % VALIDATION_STRIDE == 0) == validation]
