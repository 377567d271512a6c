"""Train MatchNet (step 2 of Algorithm 1, Eqn. 7)."""

from depth_pose_training.learning.train_matchnet import main

__all__ = ["main"]
