"""Datasets of depth images with labelled joints, all in this project's joints and frames."""

from depth_pose_training.datasets.base import DatasetError, LabelledFrame, LabelledFrames
from depth_pose_training.datasets.k2hgd import K2hgdAnnotations
from depth_pose_training.datasets.utd_mhad import UtdMhad

__all__ = ["DatasetError", "K2hgdAnnotations", "LabelledFrame", "LabelledFrames", "UtdMhad"]
