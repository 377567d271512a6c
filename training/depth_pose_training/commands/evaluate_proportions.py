"""Check body proportions on unlabelled images."""

from depth_pose_training.evaluation.proportions import main

__all__ = ["main"]
