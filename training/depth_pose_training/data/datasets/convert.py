"""Training shards from the labels of a dataset."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.datasets.adapter import JointAdapter
from depth_pose_training.data.datasets.base import LabelledFrame, LabelledFrames
from depth_pose_training.data.shards import HIDDEN, VISIBLE, CropSample, cut_crop, pack, write
from depth_pose_training.data.synthetic.config import CropsConfig

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
