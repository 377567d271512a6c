"""Train the person classifier on the detections of a fixed detector."""

from depth_pose_training.learning.train_person_classifier import main

__all__ = ["main"]
