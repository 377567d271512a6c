"""How the node gets its estimator: the one place that tests replace."""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.core.pose import Pose


class Estimator(Protocol):
    """What the node needs of :class:`depth_pose_ros.core.estimator.PoseEstimator`."""

    def estimate(self, depth: NDArray[np.float32], camera: Camera) -> list[Pose]:
        """(H, W) float32 metres, 0 where missing -> the people in it."""


EstimatorFactory = Callable[[EstimatorOptions], Estimator]


def load_estimator(options: EstimatorOptions) -> Estimator:
    """The real estimator."""
    # Imported here because torch takes seconds to load, and only a configured node needs it.
    from depth_pose_ros.core.estimator import PoseEstimator

    cv2.setNumThreads(options.threads)
    return PoseEstimator.from_options(options)
