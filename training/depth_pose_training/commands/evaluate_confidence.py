"""Measure and calibrate the confidence of joints."""

from depth_pose_training.evaluation.confidence import main

__all__ = ["main"]
