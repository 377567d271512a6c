"""Train the FCN (step 1 of Algorithm 1, Eqn. 6)."""

from depth_pose_training.learning.train_fcn import main

__all__ = ["main"]
