"""Quantize the FCN and measure the loss of accuracy."""

from depth_pose_training.evaluation.quantize import main

__all__ = ["main"]
