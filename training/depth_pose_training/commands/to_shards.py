"""Labelled frames as training shards: ``python -m depth_pose_training to_shards``.

A dataset's joints are not ours (see :mod:`depth_pose_training.data.datasets.adapter`), so its labels are
moved to our definitions first, by an adapter of the same kind that is fitted the other way round:
from the dataset's joints to a model's estimates on the same training subjects.  It has a few dozen
numbers for the whole dataset, so that it moves definitions and copies none of that model's errors
into a frame.  That model must not have learned from these labels: it would know each subject by
what the labels say of him or her, and the adapter would find the subjects alike that are not.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core import crops
from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data import datasets
from depth_pose_training.data.datasets import registry
from depth_pose_training.data.datasets.adapter import ENOUGH_FRAMES, JointAdapter
from depth_pose_training.data.datasets.base import (
    DatasetError,
    LabelledFrame,
    LabelledFrames,
    read,
    spread,
)
from depth_pose_training.data.records import VISIBLE, CropSample, crop_around
from depth_pose_training.data.shards import pack, write
from depth_pose_training.data.synthetic.config import Crops
from depth_pose_training.evaluation.predictions import predict

Array = NDArray[np.float64]


def complete(joints: Array) -> Array:
    """(N, 19, 3) with the joints that the dataset does not have, roughly where they are.

    The adapter moves them to where they belong.  Other missing joints stay NaN.
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
    """The adapter from a dataset's joints to ours, from at most ``limit`` spread frames."""
    count = len(spread(frames, limit))
    p = predict({"": estimator}, read(frames, limit), count, progress=True)[""]
    trusted = p.valid | ~np.isfinite(p.true_joints).all(-1)  # a completed joint is as good as any
    return JointAdapter.fit(complete(p.true_joints), p.joints, trusted)


def crop_sample(
    frame: LabelledFrame, to_ours: JointAdapter | None, rng: np.random.Generator
) -> CropSample | None:
    """The labelled person's crop, or None where the torso is not known.

    Joints that are not to be trusted are put to the camera's centre, which batches know as unknown
    (:attr:`depth_pose_training.data.batches.Batch.weight` is 0).
    """
    joints = complete(frame.joints[None])
    joints = (joints if to_ours is None else to_ours.apply(joints))[0]
    known = np.isfinite(joints).all(-1) & (frame.valid | ~np.isfinite(frame.joints).all(-1))
    if not known[INDEX["MiddleSpine"]]:
        return None
    place = crop_around(joints, Crops(), rng)
    crop = crops.cut(frame.depth, frame.camera, place)
    depth = np.round(crop * (1000 * crops.DEPTH_RANGE)).astype(np.int16)
    depth[crop >= crops.FAR] = crops.MISSING
    joints[~known] = 0
    return CropSample(
        depth,
        place.as_array(),
        joints.astype(np.float32),
        np.where(known, VISIBLE, 0).astype(np.uint8),
        "real",
        True,
    )


def write_shards(
    frames: LabelledFrames, to_ours: JointAdapter | None, out: Path, size: int, seed: int
) -> int:
    """All frames' crops in shuffled order, ``size`` a shard; the number of crops.

    Shards that exist are kept, so that a stopped run goes on.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Whole blocks of neighbours go into one shard: a recording is read once.
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
    """The adapter asked for on the command line; one that was fitted is kept beside the shards."""
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
        help='to our joints: "fit" with --weights\' estimates, "none" where the labels are of our '
        "joints already, or an adapter.json that leads to ours",
    )
    add("--weights", help="the model that the adapter is fitted with")
    add("--adapter-frames", type=int, default=ENOUGH_FRAMES)
    add("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    defaults = dict(registry.DATASETS[args.data].training)
    if args.data == "utd_mhad":  # neighbours are alike; the tracker errs
        defaults |= {"stride": 2, "trust": "consistent"}
    try:
        frames = datasets.open(args.data, args.root, **{**defaults, **registry.chosen(args)})
        if not np.isfinite(frames[0].joints).any():
            raise DatasetError(f"{args.data} has no joints in space to learn from")
        args.out.mkdir(parents=True, exist_ok=True)
        to_ours = to_our_joints(args, frames)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    made = write_shards(frames, to_ours, args.out, args.size, args.seed)
    print(f"{made} crops of {NUM_JOINTS} joints written to {args.out}")
    return 0
