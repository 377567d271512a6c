"""Evaluation: run an estimator over labelled frames, measure, and show."""

from depth_pose_training.evaluation.predictions import Estimator, Predictions, predict
from depth_pose_training.evaluation.summary import Errors, summarize, table

__all__ = ["Errors", "Estimator", "Predictions", "predict", "summarize", "table"]
