"""Write negative crops: false positives of the detector and random surfaces."""

from depth_pose_training.learning.mine_negatives import main

__all__ = ["main"]
