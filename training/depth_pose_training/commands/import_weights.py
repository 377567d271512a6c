"""Write the networks of a weights file into a run folder."""

from depth_pose_training.learning.import_weights import main

__all__ = ["main"]
