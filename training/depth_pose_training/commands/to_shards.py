"""Convert a labelled dataset to training shards: ``python -m depth_pose_training to_shards``.

Datasets define joints differently (see :mod:`depth_pose_training.data.datasets.adapter`).  An
adapter moves the labels to this project's definitions: it is fitted from the dataset's joints to a
model's estimates on the same training subjects.  It has a few dozen numbers for the whole dataset,
so that it does not copy the model's errors.  The model must not have been trained on these labels:
its estimates would follow the dataset's definitions.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data import datasets, evenly_spaced
from depth_pose_training.data.datasets import registry
from depth_pose_training.data.datasets.adapter import ENOUGH_FRAMES, JointAdapter
from depth_pose_training.data.datasets.base import (
    DatasetError,
    LabelledFrame,
    LabelledFrames,
    read,
)
from depth_pose_training.data.shards import HIDDEN, VISIBLE, CropSample, cut_crop, pack, write
from depth_pose_training.data.synthetic.config import CropsConfig
from depth_pose_training.evaluation.predictions import predict

Array = NDArray[np.float64]


def complete(joints: Array) -> Array:
    """Fill joints (N, 19, 3) that a dataset does not have from their neighbours.

    The adapter corrects them.  Other missing joints stay NaN.
    """
    joints = joints.copy()

    def fill(name: str, *shares: tuple[str, float]) -> None:
        guess = sum(share * joints[:, INDEX[other]] for other, share in shares)
        known = np.isfinite(joints[:, INDEX[name]]).all(-1, keepdims=True)
        joints[:, INDEX[name]] = np.where(known, joints[:, INDEX[name]], guess)

    fill("UpperSpine", ("LeftShoulder", 0.5), ("RightShoulder", 0.5))
    fill("DownSpine", ("LeftHip", 0.5), ("RightHip", 0.5))
    fill("MiddleSpine", ("UpperSpine", 0.5), ("DownSpine", 0.5))
    fill("Neck", ("UpperSpine", 0.5), ("Head", 0.5))
    for side in ("Left", "Right"):
        fill(f"{side}Wrist", (f"{side}Elbow", 0.25), (f"{side}Hand", 0.75))
    return joints


def fit_to_ours(estimator: PoseEstimator, frames: LabelledFrames, limit: int) -> JointAdapter:
    """Fit the adapter from a dataset's joints on at most ``limit`` evenly spaced frames."""
    count = len(evenly_spaced(frames, limit))
    p = predict({"": estimator}, read(frames, limit), count, progress=True)[""]
    trusted = p.valid | ~np.isfinite(p.true_joints).all(-1)  # filled joints are trusted
    return JointAdapter.fit(complete(p.true_joints), p.joints, trusted)


def crop_sample(
    frame: LabelledFrame, to_ours: JointAdapter | None, rng: np.random.Generator
) -> CropSample | None:
    """The crop of the labelled person, or None if the torso is unknown.

    Joints that are not trusted are set to 0, which marks them as unknown
    (:attr:`depth_pose_training.data.batches.Batch.weight` is 0).
    """
    person = frame.target
    joints = complete(person.joints[None])
    joints = (joints if to_ours is None else to_ours.apply(joints))[0]
    known = np.isfinite(joints).all(-1) & (person.valid | ~np.isfinite(person.joints).all(-1))
    if not known[INDEX["MiddleSpine"]]:
        return None
    crop = CropsConfig().sample(joints, rng)
    joints[~known] = 0
    return CropSample(
        cut_crop(frame.depth, frame.camera, crop),
        crop.as_array(),
        joints.astype(np.float32),
        np.where(known, VISIBLE, HIDDEN).astype(np.uint8),
        "real",
        True,
    )


def write_shards(
    frames: LabelledFrames, to_ours: JointAdapter | None, out: Path, size: int, seed: int
) -> int:
    """Write the crops of all frames, at most ``size`` per shard; returns the number of new crops.

    Existing shards are kept: an interrupted run continues.
    """
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for index, start in enumerate(tqdm(range(0, len(frames), size), unit="shard")):
        path = out / f"shard_{index:05d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng((seed, index))
        block = (frames[i] for i in range(start, min(start + size, len(frames))))
        made = [s for f in block if (s := crop_sample(f, to_ours, rng)) is not None]
        if made:
            write(path, pack(made, []))
            count += len(made)
    return count


def to_our_joints(args: argparse.Namespace, frames: LabelledFrames) -> JointAdapter | None:
    """The adapter of the command line; a fitted one is saved beside the shards."""
    if args.adapter == "none":
        return None
    if args.adapter != "fit":
        return JointAdapter.load(args.adapter)
    saved = args.out / "to_ours.json"
    if saved.exists():
        return JointAdapter.load(saved)
    estimator = PoseEstimator.from_pretrained(args.weights, device="cpu")
    fitted = fit_to_ours(estimator, frames, args.adapter_frames)
    fitted.save(saved)
    return fitted


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    registry.add_arguments(parser)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the shards")
    add("--size", type=int, default=512, help="crops per shard")
    add("--seed", type=int, default=0)
    add(
        "--adapter",
        default="fit",
        help='"fit" to the estimates of --weights, "none" for labels with this project\'s joints, '
        "or the path of an adapter.json",
    )
    add("--weights", help="model for fitting the adapter")
    add("--adapter-frames", type=int, default=ENOUGH_FRAMES)
    add("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    defaults = dict(registry.DATASETS[args.data].training)
    if (
        args.data == "utd_mhad"
    ):  # consecutive frames are similar; some joints of the tracker are wrong
        defaults |= {"stride": 2, "trust": "consistent"}
    try:
        frames = datasets.open(args.data, args.root, **{**defaults, **registry.chosen(args)})
        if not np.isfinite(frames[0].target.joints).any():
            raise DatasetError(f"{args.data} has no 3-D joints")
        args.out.mkdir(parents=True, exist_ok=True)
        to_ours = to_our_joints(args, frames)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    made = write_shards(frames, to_ours, args.out, args.size, args.seed)
    print(f"{made} crops of {NUM_JOINTS} joints written to {args.out}")
    return 0
