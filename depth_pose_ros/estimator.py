"""Deprecated path of :mod:`depth_pose_ros.core.estimator`; works for this release."""

from depth_pose_ros.core.estimator import *  # noqa: F403
