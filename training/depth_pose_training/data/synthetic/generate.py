"""Render a set of synthetic images.

The output is shards (person crops and whole frames) or files in the layout of K2HGD (whole frames
of one person).  A set consists of blocks with one seed each: several processes (``--workers``) and
machines with a shared folder (``--part i/n``) can work on it, an interrupted run continues with the
missing blocks, and the same seed gives the same set.  ``set.json`` in the folder describes the set.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from depth_pose_training.configs.cli import OptionsError, option
from depth_pose_training.data.datasets import k2hgd
from depth_pose_training.data.shards import CropSample, FrameSample, enough_visible, pack, write
from depth_pose_training.data.synthetic import mocap
from depth_pose_training.data.synthetic.config import GeneratorConfig, GeneratorConfigError, load
from depth_pose_training.data.synthetic.samples import Generator
from depth_pose_training.engine.checkpoints import write_text
from depth_pose_training.errors import UserError

MANIFEST = "set.json"
Layout = Literal["shards", "k2hgd"]


@dataclass(frozen=True)
class GenerateOptions:
    """Options of the step."""

    out: Path = option("folder of the set")
    motion: tuple[Path, ...] = option("mocap .npz files", ())
    images: int | None = option("number of images in the whole set (default: 100000)", None)
    shards: int | None = option("number of blocks in the whole set, instead of --images", None)
    size: int = option("images per block", 512)
    layout: Layout = option("file layout", "shards")
    seed: int = option("seed of the random numbers", 1)
    validation: bool = option("draw from held-out motion clips", False)
    generator: Path | None = option("YAML file, see training/configs/generator.yaml", None)
    workers: int = option("number of processes", 1)
    part: str = option("share of this machine, i/n with 0 <= i < n", "0/1")

    def __post_init__(self) -> None:
        for name in ("images", "shards", "size", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionsError(f"generate: {name} must be at least 1, got {value}")
        if self.images is not None and self.shards is not None:
            raise OptionsError("generate: give images or shards, not both")
        self.share()

    def share(self) -> tuple[int, int]:
        """``part`` as two numbers."""
        i, _, n = self.part.partition("/")
        if not (i.isdecimal() and n.isdecimal() and int(i) < int(n)):
            raise OptionsError(f"generate: part must be i/n with 0 <= i < n, got {self.part}")
        return int(i), int(n)

    def count(self) -> int:
        """Number of images in the whole set."""
        if self.shards is not None:
            return self.shards * self.size
        return 100_000 if self.images is None else self.images


@dataclass(frozen=True)
class Job:
    """One block of a set: images ``first`` to ``first + count``, from seed (seed, index)."""

    out: Path
    layout: Layout
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


def jobs(options: GenerateOptions) -> list[Job]:
    """All blocks of a set; the last one may be smaller."""
    split = "test" if options.validation else "train"
    images, size = options.count(), options.size
    return [
        Job(options.out, options.layout, options.seed, i, first, min(size, images - first), split)
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


def generator_config(options: GenerateOptions) -> GeneratorConfig:
    """The configuration of the generator for a layout.

    Raises:
        GeneratorConfigError: the file is not valid, or motion capture is missing.
    """
    config = load(options.generator)
    if not options.motion and config.people.mocap > 0:
        raise GeneratorConfigError("--motion is needed, or a --generator with people: {mocap: 0}")
    if options.layout == "k2hgd":
        # Like the data of the paper: one person in front of a Kinect v2.
        people = replace(config.people, number=(0.0, 1.0))
        cameras = replace(config.cameras, sensors={"kinect_v2": 1.0})
        config = replace(config, people=people, cameras=cameras)
    return config


def generate(options: GenerateOptions) -> None:
    """Render the missing blocks of this machine's share of a set.

    Raises:
        UserError: the folder contains another set, or the generator's file is not valid.
    """
    config, out = generator_config(options), options.out
    contents = {
        "layout": options.layout,
        "images": options.count(),
        "size": options.size,
        "seed": options.seed,
        "validation": options.validation,
        "motion": sorted(p.name for p in options.motion),
        "config": config.as_dict(),
    }
    claim(out, contents)
    every = jobs(options)
    part, parts = options.share()
    missing = [job for job in every[part::parts] if not job.done.exists()]
    start = partial(_start, options.motion, options.validation, config)
    workers = max(1, min(options.workers, len(missing)))
    bar = tqdm(total=sum(job.count for job in missing), unit="image")
    with bar, _workers(workers, start) as run:
        for count in run(_make, missing) if missing else ():
            bar.update(count)
    left = sum(not job.done.exists() for job in every)
    if options.layout == "k2hgd" and not left:
        k2hgd.join_blocks(out, every[0].split, [job.done for job in every])
    print(f"{out}: {len(every) - left} of {len(every)} blocks are complete")
