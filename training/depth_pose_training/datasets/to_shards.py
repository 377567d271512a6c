"""Real labelled frames as training shards: ``python -m depth_pose_training.datasets.to_shards``.

A dataset's joints are not ours (see :mod:`depth_pose_training.datasets.adapter`), so its labels are
moved to our definitions first, by an adapter of the same kind that is fitted the other way round:
from the dataset's joints to a model's estimates on the same training subjects.  It has a handful of
numbers for the whole dataset, so that it moves definitions and copies none of that model's errors
into a frame.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros import crops
from depth_pose_ros.estimator import PoseEstimator
from depth_pose_ros.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.datasets.adapter import JointAdapter
from depth_pose_training.datasets.base import LabelledFrame, LabelledFrames, read, spread
from depth_pose_training.datasets.utd_mhad import UtdMhad
from depth_pose_training.evaluation.predictions import predict
from depth_pose_training.synthetic.samples import VISIBLE, CropSample
from depth_pose_training.synthetic.shards import pack, write

Array = NDArray[np.float64]
#: The crop's centre beside the middle of the spine, metres: as far as a finder errs.
_SIDEWAYS, _NEARER, _DEPTH_SIGMA = 0.13, -0.1, 0.06


def complete(joints: Array) -> Array:
    """(N, 19, 3) with a Neck, where the dataset has none, half way from UpperSpine to Head."""
    joints = joints.copy()
    neck = joints[:, INDEX["Neck"]]
    middle = 0.5 * (joints[:, INDEX["UpperSpine"]] + joints[:, INDEX["Head"]])
    joints[:, INDEX["Neck"]] = np.where(np.isfinite(neck), neck, middle)
    return joints


def fit_to_ours(estimator: PoseEstimator, frames: LabelledFrames, limit: int) -> JointAdapter:
    """The adapter from a dataset's joints to ours, from at most ``limit`` spread frames."""
    count = len(spread(frames, limit))
    p = predict({"": estimator}, read(frames, limit), count, progress=True)[""]
    trusted = p.valid | ~np.isfinite(p.true_joints).all(-1)  # a completed Neck is as good as any
    return JointAdapter.fit(complete(p.true_joints), p.joints, trusted)


def crop_sample(
    frame: LabelledFrame, to_ours: JointAdapter, rng: np.random.Generator
) -> CropSample | None:
    """One person's crop, or None where the torso is not known.

    Joints that are not to be trusted are put to the camera's centre, which batches know as unknown
    (:attr:`depth_pose_training.batches.Batch.weight` is 0).
    """
    joints = to_ours.apply(complete(frame.joints[None]))[0]
    known = np.isfinite(joints).all(-1) & (frame.valid | ~np.isfinite(frame.joints).all(-1))
    if not known[INDEX["MiddleSpine"]]:
        return None
    centre = joints[INDEX["MiddleSpine"]].copy()
    centre[:2] += rng.uniform(-_SIDEWAYS, _SIDEWAYS, 2)
    centre[2] += rng.normal(_NEARER, _DEPTH_SIGMA)
    place = crops.frame_around(centre)
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
    frames: LabelledFrames, to_ours: JointAdapter, out: Path, size: int, seed: int
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


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="UTD-MHAD's folder")
    parser.add_argument("--subjects", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--stride", type=int, default=2, help="keep every stride-th frame")
    parser.add_argument("--min-consistent", type=int, default=18, help="of the tracker's 20 joints")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--size", type=int, default=512, help="crops per shard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="the model that the adapter to our joints is fitted with")
    parser.add_argument("--adapter-frames", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    frames = UtdMhad(
        args.root, args.subjects, None, args.min_consistent, args.stride, trust="consistent"
    )
    args.out.mkdir(parents=True, exist_ok=True)
    saved = args.out / "to_ours.json"
    if saved.exists():
        to_ours = JointAdapter.load(saved)
    else:
        estimator = PoseEstimator.from_pretrained(args.weights, device="cpu")
        to_ours = fit_to_ours(estimator, frames, args.adapter_frames)
        to_ours.save(saved)
    made = write_shards(frames, to_ours, args.out, args.size, args.seed)
    print(f"{made} crops of {NUM_JOINTS} joints written to {args.out}")


if __name__ == "__main__":
    main()
