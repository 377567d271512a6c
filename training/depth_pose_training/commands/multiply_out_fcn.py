"""Multiply a low-rank FCN out to the paper's layers."""

from depth_pose_training.learning.multiply_out_fcn import main

__all__ = ["main"]
