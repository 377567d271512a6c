"""Train the person detector."""

from depth_pose_training.learning.train_detector import main

__all__ = ["main"]
