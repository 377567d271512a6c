"""What follows the FCN (MatchNet, the dynamic programme, all between) as compiled code.

``setup.py`` builds it where there is a C++ compiler, once for each kind of processor; everything
works without it, slower.  The sources are beside this file.
"""

from depth_pose_ros.native.loading import library
from depth_pose_ros.native.matchnet import NativeMatchNet, fits
from depth_pose_ros.native.programme import NativeProgramme
from depth_pose_ros.native.steps import Steps, steps

__all__ = ["NativeMatchNet", "NativeProgramme", "Steps", "fits", "library", "steps"]
