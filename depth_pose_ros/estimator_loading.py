"""How the node comes by its estimator: the one place that tests replace."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.camera import Camera
from depth_pose_ros.pose import Pose


class Estimator(Protocol):
    """What the node needs of :class:`depth_pose_ros.estimator.PoseEstimator`."""

    def estimate(self, depth: NDArray[np.float32], camera: Camera) -> list[Pose]:
        """(H, W) float32 metres, 0 where missing -> the people in it."""


class EstimatorSettings(NamedTuple):
    """The parameters that an estimator is made with, by their names."""

    model: str
    device: str
    threads: int
    max_people: int
    min_person_score: float
    max_distance: float
    backend: str = "auto"
    mirror: bool = False


EstimatorFactory = Callable[[EstimatorSettings], Estimator]


def load_estimator(settings: EstimatorSettings) -> Estimator:
    """The real estimator; see the parameters."""
    # Imported here because torch takes seconds to load, and only a configured node needs it.
    from depth_pose_ros.estimator import PoseEstimator

    cv2.setNumThreads(settings.threads)
    return PoseEstimator.from_pretrained(
        settings.model or None,
        device=settings.device,
        max_people=settings.max_people,
        min_person_score=settings.min_person_score,
        max_distance=settings.max_distance,
        backend=settings.backend,
        threads=settings.threads,
        mirror=settings.mirror,
    )
