"""What follows the FCN (MatchNet, the dynamic programme, all between) as compiled code.

``setup.py`` builds it where there is a C++ compiler, once for each kind of processor; everything
works without it, slower.  The sources are beside this file.
"""

from depth_pose_ros.core.backends.native.loading import library
from depth_pose_ros.core.backends.native.matchnet import NativeMatchNet, fits
from depth_pose_ros.core.backends.native.steps import Steps, steps
from depth_pose_ros.core.backends.native.tree_inference import NativeTreeInference

__all__ = ["NativeMatchNet", "NativeTreeInference", "Steps", "fits", "library", "steps"]
