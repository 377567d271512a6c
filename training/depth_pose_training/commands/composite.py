"""Put rendered people into real rooms: whole frames for the detector and the person classifier.

The people come from ``generate`` with ``crops.frame_background_removed: 1.0``.  The rooms are real
depth images without people: folders of scenes, as ``real_scenes`` reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from depth_pose_training.configs.cli import option, parse, save
from depth_pose_training.configs.groups import CommonOptions
from depth_pose_training.data.composites import composites
from depth_pose_training.data.datasets.real_scenes import read_scenes
from depth_pose_training.data.shards import list_shards, pack, read, write
from depth_pose_training.errors import UserError


@dataclass(frozen=True)
class CompositeOptions(CommonOptions):
    """Options of the step."""

    people: Path = option("folder of shards with people and no background")
    rooms: Path = option("folder of real scenes without people")
    out: Path = option("new folder of shards")
    frames: int = option("frames with people", 12000)
    empty: int = option("frames without people", 5000)
    size: int = option("frames per shard", 1024)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(CompositeOptions, argv, "composite")
    if any(options.out.glob("shard_*.npz")):
        raise UserError(f"{options.out} holds shards already: use another --out")
    shards = [read(path) for path in list_shards(options.people)]
    people = [shard.view(row) for shard in shards for row in range(len(shard.view_depth))]
    if not people:
        raise UserError(f"{options.people} holds no whole frames")
    rooms = list(read_scenes(options.rooms))
    options.out.mkdir(parents=True, exist_ok=True)
    made = composites(people, rooms, options.frames, options.empty, options.seed)
    total = options.frames + options.empty
    for number in tqdm(range(-(-total // options.size)), unit="shard"):
        views = list(islice(made, options.size))
        write(options.out / f"shard_{number:05d}.npz", pack([], views))
    save(options.out, "composite", options)
