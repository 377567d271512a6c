"""Evaluate the detection of people."""

from depth_pose_training.evaluation.detection import main

__all__ = ["main"]
