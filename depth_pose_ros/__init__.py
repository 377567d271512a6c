"""Depth-camera body tracking: a depth image in, 3-D skeletons out.

The core (everything but :mod:`depth_pose_ros.node`, :mod:`depth_pose_ros.conversions` and
:mod:`depth_pose_ros.demo`) knows nothing of ROS and can be imported without it.
"""

__version__ = "0.1.0"
