"""Crops that show no person: ``python -m depth_pose_training mine_negatives --help``.

Cut from whole frames at false positives of a person detector and at
places on any surface.  ``train_fcn --person`` learns from them to tell people from furniture; they
are shards like others, of crops in which no joint is known.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core import crops
from depth_pose_ros.core.detection import detect
from depth_pose_ros.core.models.detector import PersonDetector
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data import evenly_spaced
from depth_pose_training.data.datasets import LabelledFrame, SyntheticShards
from depth_pose_training.data.people import MATCH_DISTANCE, torso_centre
from depth_pose_training.data.shards import OUTSIDE, CropSample, cut_crop, pack, write
from depth_pose_training.engine import step_options
from depth_pose_training.errors import UserError
from depth_pose_training.learning import run_folder

_MIN_SCORE = 0.05  # of a detection
_MAX_DETECTIONS = 6  # per frame
_NEAR, _FAR = 0.7, 5.0  # metres: where people are looked for


def places(
    detector: PersonDetector, frame: LabelledFrame, anywhere: int, rng: np.random.Generator
) -> NDArray:
    """(N, 3) metres: where the detector is wrong, and at most ``anywhere`` places on surfaces."""
    detections = detect(detector, frame.depth, frame.camera, _MIN_SCORE, _MAX_DETECTIONS)
    rows, columns = np.nonzero((frame.depth > _NEAR) & (frame.depth < _FAR))
    chosen = rng.integers(0, len(rows), anywhere if len(rows) else 0)
    surface = [
        frame.camera.back_project(
            (int(columns[i]), int(rows[i])), float(frame.depth[rows[i], columns[i]])
        )
        for i in chosen
    ]
    found = np.array([*(d.centre for d in detections), *surface]).reshape(-1, 3)
    people = np.array([torso_centre(joints) for joints in frame.joints]).reshape(-1, 3)
    people = people[np.isfinite(people).all(-1)]
    apart = np.linalg.norm(found[:, None] - people[None], axis=-1)
    free: NDArray = found[(apart > MATCH_DISTANCE).all(1)]
    return free


def sample(frame: LabelledFrame, centre: NDArray) -> CropSample:
    """A crop around a point, with no joints labelled."""
    at = crops.frame_around(centre)
    depth = cut_crop(frame.depth, frame.camera, at)
    nowhere = np.zeros((NUM_JOINTS, 3), np.float32)
    unseen = np.full(NUM_JOINTS, OUTSIDE, np.uint8)
    return CropSample(depth, at.as_array(), nowhere, unseen, "negative", False)


def samples(
    detector: PersonDetector, folders: Sequence[Path], frames: int, anywhere: int, seed: int
) -> Iterator[CropSample]:
    """Crops of at most ``frames`` frames of each folder."""
    for number, folder in enumerate(folders):
        data = SyntheticShards(folder)
        for i in tqdm(evenly_spaced(data, frames), unit="frame"):
            frame = data[int(i)]
            rng = np.random.default_rng((seed, number, int(i)))
            yield from (sample(frame, centre) for centre in places(detector, frame, anywhere, rng))


def run(args: argparse.Namespace) -> int:
    """Write shards by a command line's options; how many crops there are."""
    torch.set_num_threads(args.threads)
    if any(args.out.glob("shard_*.npz")):
        raise UserError(f"{args.out} holds shards already: use another --out")
    detector = run_folder.load_detector(args.detector).eval()
    args.out.mkdir(parents=True, exist_ok=True)
    made = list(samples(detector, args.data, args.frames, args.anywhere, args.seed))
    if not made:
        raise UserError("no crop without a person was found in these frames")
    order = np.random.default_rng(args.seed).permutation(len(made))
    for number, rows in enumerate(np.array_split(order, -(-len(made) // args.size))):
        write(args.out / f"shard_{number:05d}.npz", pack([made[i] for i in rows], []))
    step_options.save(args.out, "mine_negatives", args)
    print(f"{args.out}: {len(made)} crops")
    return len(made)


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--detector", type=Path, required=True, help="train_detector's checkpoint.pt")
    add("--data", type=Path, nargs="+", required=True, help="folders of shards with whole frames")
    add("--out", type=Path, required=True, help="new folder of shards")
    add("--frames", type=int, default=4000, help="at most so many of each folder")
    add(
        "--anywhere", type=int, default=1, help="places on surfaces, beside the detector's, a frame"
    )
    add("--size", type=int, default=512, help="crops per shard")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "mine_negatives", argv))
