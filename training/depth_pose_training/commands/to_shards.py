"""Convert a labelled dataset to training shards.

Datasets define joints differently (see :mod:`depth_pose_training.data.datasets.adapter`).  An
adapter moves the labels to this project's definitions: it is fitted from the dataset's joints to a
model's estimates on the same training subjects.  It has a few dozen numbers for the whole dataset,
so that it does not copy the model's errors.  The model must not have been trained on these labels:
its estimates would follow the dataset's definitions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.data import datasets, evenly_spaced
from depth_pose_training.data.datasets import registry
from depth_pose_training.data.datasets.adapter import ENOUGH_FRAMES, JointAdapter
from depth_pose_training.data.datasets.base import DatasetError, LabelledFrames, read
from depth_pose_training.data.datasets.convert import complete, write_shards
from depth_pose_training.evaluation.predictions import predict


@dataclass(frozen=True)
class ToShardsOptions(registry.DatasetOptions):
    """Options of the step."""

    out: Path = option("folder of the shards")
    size: int = option("crops per shard", 512)
    seed: int = option("seed of the random numbers", 0)
    adapter: str = option(
        '"fit" to the estimates of --weights, "none" for labels with this project\'s joints, or '
        "the path of an adapter.json",
        "fit",
    )
    weights: str | None = option("model for fitting the adapter", None)
    adapter_frames: int = option("maximum number of frames for the adapter", ENOUGH_FRAMES)
    threads: int = option("threads of the CPU", 1)


def fit_to_ours(estimator: PoseEstimator, frames: LabelledFrames, limit: int) -> JointAdapter:
    """Fit the adapter from a dataset's joints on at most ``limit`` evenly spaced frames."""
    count = len(evenly_spaced(frames, limit))
    p = predict({"": estimator}, read(frames, limit), count, progress=True)[""]
    trusted = p.valid | ~np.isfinite(p.true_joints).all(-1)  # filled joints are trusted
    return JointAdapter.fit(complete(p.true_joints), p.joints, trusted)


def to_our_joints(options: ToShardsOptions, frames: LabelledFrames) -> JointAdapter | None:
    """The adapter of the command line; a fitted one is saved beside the shards."""
    if options.adapter == "none":
        return None
    if options.adapter != "fit":
        return JointAdapter.load(options.adapter)
    saved = options.out / "to_ours.json"
    if saved.exists():
        return JointAdapter.load(saved)
    estimator = PoseEstimator.from_pretrained(options.weights, device="cpu")
    fitted = fit_to_ours(estimator, frames, options.adapter_frames)
    fitted.save(saved)
    return fitted


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(ToShardsOptions, argv, "to_shards")
    torch.set_num_threads(options.threads)
    defaults = dict(registry.DATASETS[options.data].training)
    if options.data == "utd_mhad":
        # Consecutive frames are similar; some joints of the tracker are wrong.
        defaults |= {"stride": 2, "trust": "consistent"}
    chosen = {**defaults, **registry.chosen(options)}
    frames = datasets.open(options.data, options.root, **chosen)
    if not np.isfinite(frames[0].target.joints).any():
        raise DatasetError(f"{options.data} has no 3-D joints")
    options.out.mkdir(parents=True, exist_ok=True)
    to_ours = to_our_joints(options, frames)
    made = write_shards(frames, to_ours, options.out, options.size, options.seed)
    print(f"{made} crops of {NUM_JOINTS} joints written to {options.out}")
