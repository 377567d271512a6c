"""Datasets of depth images with labelled joints, all in this project's joints and frames."""

from depth_pose_training.data.datasets.base import DatasetError, LabelledFrame, LabelledFrames
from depth_pose_training.data.datasets.itop import Itop
from depth_pose_training.data.datasets.k2hgd import K2hgd
from depth_pose_training.data.datasets.k2hgd_matlab import K2hgdAnnotations
from depth_pose_training.data.datasets.registry import DATASETS, open
from depth_pose_training.data.datasets.synthetic import SyntheticShards, SyntheticStream
from depth_pose_training.data.datasets.utd_mhad import UtdMhad

__all__ = [
    "DATASETS",
    "DatasetError",
    "Itop",
    "K2hgd",
    "K2hgdAnnotations",
    "LabelledFrame",
    "LabelledFrames",
    "SyntheticShards",
    "SyntheticStream",
    "UtdMhad",
    "open",
]
