"""Pose: the skeleton of one person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pose:
    """One person in one depth image.

    Rows are in the order of :data:`depth_pose_ros.core.skeleton.JOINTS`.

    Attributes:
        joints: (19, 3) float32, metres, in the camera's optical frame; inside the body, not on its
            surface.  Always finite.
        pixels: (19, 2) float32, (u, v) in the input image; may lie outside it.
        confidence: (19,) float32 in [0, 1].
        score: float in [0, 1], person score.
    """

    joints: NDArray[np.float32]
    pixels: NDArray[np.float32]
    confidence: NDArray[np.float32]
    score: float
