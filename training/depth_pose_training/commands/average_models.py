"""Average the parameters of several networks."""

from depth_pose_training.learning.average_models import main

__all__ = ["main"]
