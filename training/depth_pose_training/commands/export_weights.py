"""Write the networks of a run folder into one weights file."""

from depth_pose_training.learning.export_weights import main

__all__ = ["main"]
