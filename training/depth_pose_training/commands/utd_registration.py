"""Check the registration of UTD-MHAD's skeletons and depth images."""

from depth_pose_training.evaluation.utd_registration import main

__all__ = ["main"]
