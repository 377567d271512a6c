"""Deprecated path of :mod:`depth_pose_ros.core.camera`; works for this release."""

from depth_pose_ros.core.camera import *  # noqa: F403
