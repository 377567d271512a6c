"""Make shards of synthetic samples: ``python -m depth_pose_training.synthetic.generate --help``.

Every shard has a seed of its own, so any number of processes and machines can share a set
(``--part i/n``), and a run that was stopped goes on with the shards that are missing.
"""

import argparse
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from depth_pose_training.synthetic import mocap
from depth_pose_training.synthetic.samples import CropSample, FrameSample, Generator
from depth_pose_training.synthetic.shards import pack, write

_generator: Generator | None = None


def _start(motion: list[Path], validation: bool) -> None:
    global _generator  # one body model per process
    torch.set_num_threads(1)
    clips = [c for path in motion for c in mocap.split(mocap.load_clips(path), validation)]
    _generator = Generator(clips)


def _make(job: tuple[Path, int, int, int]) -> Path:
    path, seed, index, size = job
    assert _generator is not None
    crops: list[CropSample] = []
    views: list[FrameSample] = []
    for made, view in _generator.stream((seed, index)):
        crops += made
        views.append(view)
        if len(crops) >= size:
            break
    write(path, pack(crops[:size], views))
    return path


def _part(text: str) -> tuple[int, int]:
    i, n = (int(v) for v in text.split("/"))
    if not 0 <= i < n:
        raise argparse.ArgumentTypeError(f"part must be i/n with 0 <= i < n, got {text}")
    return i, n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--motion", type=Path, nargs="+", required=True, help="mocap .npz files")
    parser.add_argument("--shards", type=int, default=40, help="shards in the whole set")
    parser.add_argument("--size", type=int, default=512, help="person crops per shard")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--validation", action="store_true", help="draw from held-out clips")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--part", type=_part, default=(0, 1), help="this machine's share, i/n")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    part, parts = args.part
    jobs = [
        (path, args.seed, i, args.size)
        for i in range(part, args.shards, parts)
        if not (path := args.out / f"shard_{i:05d}.npz").exists()
    ]
    with get_context("spawn").Pool(
        args.workers, initializer=_start, initargs=(args.motion, args.validation)
    ) as pool:
        for _ in tqdm(pool.imap_unordered(_make, jobs), total=len(jobs), unit="shard"):
            pass


if __name__ == "__main__":
    main()
