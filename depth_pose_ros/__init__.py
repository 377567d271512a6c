"""Body tracking from a depth camera: a depth image in, 3-D skeletons out.

The public names are loaded at first use, so that importing the package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depth_pose_ros.core.camera import Camera
    from depth_pose_ros.core.estimator import PoseEstimator
    from depth_pose_ros.core.options import EstimatorOptions
    from depth_pose_ros.core.pose import Pose
    from depth_pose_ros.core.tracking import Tracker

__version__ = "0.1.0"
__all__ = ["Camera", "EstimatorOptions", "Pose", "PoseEstimator", "Tracker"]

_MODULES = {
    "Camera": "core.camera",
    "EstimatorOptions": "core.options",
    "Pose": "core.pose",
    "PoseEstimator": "core.estimator",
    "Tracker": "core.tracking",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
