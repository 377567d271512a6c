"""Datasets of depth images with labelled joints, all with the same joints and frames."""

from depth_pose_training.data.datasets.base import (
    DatasetError,
    LabelledFrame,
    LabelledFrames,
    LabelledPerson,
)
from depth_pose_training.data.datasets.itop import Itop
from depth_pose_training.data.datasets.k2hgd import K2hgd
from depth_pose_training.data.datasets.registry import DATASETS, open
from depth_pose_training.data.datasets.synthetic import RenderedFrames, SyntheticShards
from depth_pose_training.data.datasets.utd_mhad import UtdMhad

__all__ = [
    "DATASETS",
    "DatasetError",
    "Itop",
    "K2hgd",
    "LabelledFrame",
    "LabelledFrames",
    "LabelledPerson",
    "RenderedFrames",
    "SyntheticShards",
    "UtdMhad",
    "open",
]
