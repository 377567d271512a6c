"""Compare run folders on held-out crops."""

from depth_pose_training.evaluation.compare import main

__all__ = ["main"]
