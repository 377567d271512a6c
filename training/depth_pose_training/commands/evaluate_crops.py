"""Evaluate a model on labelled crops."""

from depth_pose_training.evaluation.labelled_crops import main

__all__ = ["main"]
