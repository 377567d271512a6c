"""Render a set of synthetic images: ``python -m depth_pose_training generate --help``.

The output is shards (person crops and whole frames) or files in the layout of K2HGD (whole
frames of one person).  A set consists of blocks with one seed each: several processes
(``--workers``) and machines with a shared folder (``--part i/n``) can work on it, an interrupted
run continues with the missing blocks, and the same seed gives the same set.  ``set.json`` in the
folder describes the set.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from depth_pose_training.data.datasets import k2hgd
from depth_pose_training.data.shards import CropSample, FrameSample, enough_visible, pack, write
from depth_pose_training.data.synthetic import mocap
from depth_pose_training.data.synthetic.config import GeneratorConfig, GeneratorConfigError, load
from depth_pose_training.data.synthetic.samples import Generator
from depth_pose_training.engine.checkpoints import write_text
from depth_pose_training.errors import UserError

LAYOUTS = ("shards", "k2hgd")
MANIFEST = "set.json"


@dataclass(frozen=True)
class Job:
    """One block of a set: images ``first`` to ``first + count``, from seed (seed, index)."""

    out: Path
    layout: str
    seed: int
    index: int
    first: int
    count: int
    split: str

    @property
    def done(self) -> Path:
        """The file that exists when the block is complete."""
        if self.layout == "shards":
            return self.out / f"shard_{self.index:05d}.npz"
        return k2hgd.block_path(self.out, self.index)


_generator: Generator | None = None


def _start(motion: Sequence[Path], validation: bool, config: GeneratorConfig) -> None:
    global _generator  # one per process
    torch.set_num_threads(1)
    clips = [c for path in motion for c in mocap.split(mocap.load_clips(path), validation)]
    _generator = Generator(clips, config=config)


def _make(job: Job) -> int:
    assert _generator is not None
    if job.layout == "shards":
        _make_shard(_generator, job)
    else:
        _make_frames(_generator, job)
    return job.count


def _make_shard(generator: Generator, job: Job) -> None:
    crops: list[CropSample] = []
    views: list[FrameSample] = []
    for made, view in generator.stream((job.seed, job.index)):
        crops += made
        views.append(view)
        if len(crops) >= job.count:
            break
    write(job.done, pack(crops[: job.count], views))


def _make_frames(generator: Generator, job: Job) -> None:
    numbers = iter(range(job.first, job.first + job.count))
    frames = []
    for view in generator.frames((job.seed, job.index), (k2hgd.CAMERA.fx, k2hgd.CAMERA.fx)):
        if len(view.joints) and enough_visible(view.joints[0], view.visible[0]):
            number = next(numbers, None)
            if number is None:
                break
            frames.append(k2hgd.write_frame(job.out, number, view.depth, view.joints[0]))
    k2hgd.write_block(job.done, frames)


def jobs(out: Path, layout: str, images: int, size: int, seed: int, validation: bool) -> list[Job]:
    """All blocks of a set; the last one may be smaller."""
    split = "test" if validation else "train"
    return [
        Job(out, layout, seed, i, first, min(size, images - first), split)
        for i, first in enumerate(range(0, images, size))
    ]


def claim(out: Path, contents: dict[str, Any]) -> None:
    """Write the description of the set; an interrupted set may only become larger.

    Raises:
        UserError: the folder contains another set.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / MANIFEST
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        differ = [k for k in contents if k != "images" and there.get(k) != contents[k]]
        whole = there.get("images", 0) % contents["size"] == 0  # the last block is full
        if there.get("images") != contents["images"] and not whole:
            differ.append("number of images, and its last block is not full")
        if differ:
            raise UserError(
                f"{out} contains a set with another {', '.join(differ)}: use another --out"
            )
    write_text(path, json.dumps(contents, indent=1) + "\n")


@contextmanager
def _workers(count: int, start: partial[None]) -> Iterator[Any]:
    """A map function: of this process for one worker, else of a process pool."""
    if count == 1:
        start()
        yield map
        return
    with get_context("spawn").Pool(count, initializer=start) as pool:
        yield pool.imap_unordered


def _part(text: str) -> tuple[int, int]:
    i, n = (int(v) for v in text.split("/"))
    if not 0 <= i < n:
        raise argparse.ArgumentTypeError(f"part must be i/n with 0 <= i < n, got {text}")
    return i, n


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m depth_pose_training generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the set")
    add("--motion", type=Path, nargs="*", default=[], help="mocap .npz files")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--images", type=_count, help="images in the whole set (default: 100000)")
    size.add_argument("--shards", type=_count, help="the same, in blocks of --size")
    add("--size", type=_count, default=512, help="images per block (default: %(default)s)")
    add("--layout", choices=LAYOUTS, default="shards")
    add("--seed", type=int, default=1)
    add("--validation", action="store_true", help="draw from held-out motion clips")
    add("--config", type=Path, help="YAML, see training/configs/generator.yaml")
    add("--workers", type=_count, default=1, help="processes")
    add("--part", type=_part, default=(0, 1), help="share of this machine, i/n")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        config = load(args.config)
        if not args.motion and config.people.mocap > 0:
            raise GeneratorConfigError("--motion is needed, or a --config with people: {mocap: 0}")
        if args.layout == "k2hgd":
            # As the paper's data: one person in front of a Kinect v2.
            people = replace(config.people, number=(0.0, 1.0))
            config = replace(
                config, people=people, cameras=replace(config.cameras, sensors={"kinect_v2": 1.0})
            )
        images = args.shards * args.size if args.shards else args.images or 100_000
        contents = {
            "layout": args.layout,
            "images": images,
            "size": args.size,
            "seed": args.seed,
            "validation": args.validation,
            "motion": sorted(p.name for p in args.motion),
            "config": config.as_dict(),
        }
        claim(args.out, contents)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    every = jobs(args.out, args.layout, images, args.size, args.seed, args.validation)
    part, parts = args.part
    missing = [job for job in every[part::parts] if not job.done.exists()]
    start = partial(_start, args.motion, args.validation, config)
    workers = max(1, min(args.workers, len(missing)))
    bar = tqdm(total=sum(job.count for job in missing), unit="image")
    with bar, _workers(workers, start) as run:
        for count in run(_make, missing) if missing else ():
            bar.update(count)
    left = sum(not job.done.exists() for job in every)
    if args.layout == "k2hgd" and not left:
        k2hgd.join_blocks(args.out, every[0].split, [job.done for job in every])
    print(f"{args.out}: {len(every) - left} of {len(every)} blocks are complete")
    return 0
