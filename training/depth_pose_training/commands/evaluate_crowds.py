"""Evaluate the separation of people in crowds."""

from depth_pose_training.evaluation.crowds import main

__all__ = ["main"]
