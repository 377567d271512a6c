"""Factorize the paper's FCN into low-rank layers."""

from depth_pose_training.learning.factorize_fcn import main

__all__ = ["main"]
