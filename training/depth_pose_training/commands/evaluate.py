"""Evaluate a model on labelled depth images."""

from depth_pose_training.evaluation.labelled_frames import main

__all__ = ["main"]
