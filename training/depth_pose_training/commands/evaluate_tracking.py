"""Evaluate the tracker: id switches, jitter and lag."""

from depth_pose_training.evaluation.tracking import main

__all__ = ["main"]
