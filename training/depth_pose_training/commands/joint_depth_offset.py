"""Measure the depth of each joint below the visible surface."""

from depth_pose_training.learning.joint_depth_offset import main

__all__ = ["main"]
