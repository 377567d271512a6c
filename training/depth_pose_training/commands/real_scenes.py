"""Evaluate a model on real scenes: false positives, missed people, duplicates, 2-D PDJ."""

from depth_pose_training.evaluation.real_scenes import main

__all__ = ["main"]
