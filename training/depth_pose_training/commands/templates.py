"""Cluster templates of each part by K-means (step 2 of Algorithm 1)."""

from depth_pose_training.learning.templates import main

__all__ = ["main"]
