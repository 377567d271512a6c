"""Synthetic images as a dataset: from shards, or rendered while they are asked for."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.datasets.base import DatasetError, LabelledFrame
from depth_pose_training.data.records import OUTSIDE, usable
from depth_pose_training.data.shards import Shard, list_shards, read

KINDS = ("frames", "crops")
#: Focal length of rendered frames, pixels: a Kinect v2's.
FOCAL = 365.0
#: Joints nearer than this, metres, are ones that the truth does not know.
_NEAREST = 0.1


class SyntheticShards:
    """Frames of shards: the whole images, or the crops as images of cameras of their own.

    The labelled person of a whole image is the nearest of whom enough is in sight; the others are
    the frame's others.

    Args:
        root: folder of shards.
        kind: "frames" or "crops".
        people: only whole frames with so many people.
        stride: every n-th.

    Raises:
        DatasetError: no shards, or no such frames.
    """

    name = "synthetic"
    torso_top = "Neck"

    def __init__(
        self, root: str | Path, kind: str = "frames", people: int | None = None, stride: int = 1
    ) -> None:
        if kind not in KINDS:
            raise DatasetError(f"kind must be one of {KINDS}, got {kind!r}")
        if stride < 1:
            raise DatasetError(f"stride must be at least 1, got {stride}")
        self._kind = kind
        try:
            self._paths = list_shards(Path(root))
            # Mapped files stay open: a few at a time.
            self._shard = lru_cache(maxsize=8)(lambda i: read(self._paths[i], mapped=True))
            rows = [(i, int(k)) for i in range(len(self._paths)) for k in self._select(i, people)]
        except (ValueError, OSError) as error:
            raise DatasetError(str(error)) from error
        self._rows = rows[::stride]
        if not self._rows:
            raise DatasetError(f"{root} has no {kind} with {people} people")

    def _select(self, shard: int, people: int | None) -> NDArray[np.intp]:
        data: Shard = self._shard(shard)
        if self._kind == "crops":
            return np.arange(len(data.depth))
        return np.flatnonzero((data.view_people == people) | (people is None))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> LabelledFrame:
        number, row = self._rows[index]
        shard: Shard = self._shard(number)
        key = f"{self._paths[number].stem}/{row}"
        if self._kind == "crops":
            return crop_frame(
                shard.depth[row], shard.frame[row], shard.joints[row], shard.visible[row],
                f"{key}/{shard.mode[row]}",
            )  # fmt: skip
        fx, fy, cx, cy, w, h = (float(v) for v in shard.view_camera[row])
        camera = Camera(fx, fy, cx, cy, int(w), int(h))
        n = int(shard.view_people[row])
        depth = shard.view_depth[row, : camera.height, : camera.width].astype(np.float32) / 1000
        return whole_frame(
            depth, camera, shard.view_joints[row, :n], shard.view_visible[row, :n], key
        )


class SyntheticStream:
    """Frames of a Kinect v2's resolution, rendered in order; each is made once.

    A frame is only to be had after those before it, so that a whole set is quick to walk through
    and slow to jump about in.

    Args:
        motion: mocap .npz files; their held-out clips are used.
        count: how many frames.
        seed: of all of them.
        config: YAML, see ``training/configs/synthetic.yaml``.
    """

    name = "synthetic"
    torso_top = "Neck"

    def __init__(
        self, motion: list[Path], count: int = 100, seed: int = 0, config: Path | None = None
    ) -> None:
        # Only rendering needs bodies, which take a moment to load.
        from depth_pose_training.data.synthetic import mocap
        from depth_pose_training.data.synthetic.config import GeneratorConfig, load
        from depth_pose_training.data.synthetic.samples import Generator

        try:
            clips = [c for p in motion for c in mocap.split(mocap.load_clips(p), validation=True)]
            generator = Generator(clips, config=load(config) if config else GeneratorConfig())
        except (ValueError, OSError) as error:
            raise DatasetError(str(error)) from error
        self._start: Callable[[], Iterator[Any]] = lambda: generator.frames(seed, (FOCAL, FOCAL))
        self._count = count
        self._made: dict[int, LabelledFrame] = {}
        self._next, self._frames = 0, self._start()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> LabelledFrame:
        if not 0 <= index < self._count:
            raise IndexError(index)
        if index < self._next - 1:
            self._next, self._frames = 0, self._start()
        while self._next <= index:
            view = next(self._frames)
            frame = whole_frame(
                view.depth, view.camera, view.joints, view.visible, f"{self._next:06d}"
            )
            self._made = {self._next: frame}
            self._next += 1
        return self._made[index]


def whole_frame(
    depth: NDArray[Any],
    camera: Camera,
    joints: NDArray[Any],
    visible: NDArray[np.uint8],
    key: str,
) -> LabelledFrame:
    """A whole image: (P, 19, 3) joints and (P, 19) how they are seen; P may be 0."""
    asked = np.array([usable(j, v) for j, v in zip(joints, visible, strict=True)], bool)
    places = np.asarray(joints, dtype=np.float64)
    order = np.argsort(np.where(asked, places[:, 3, 2], np.inf), kind="stable")
    mine = np.full((NUM_JOINTS, 3), np.nan)
    pixels, valid = np.full((NUM_JOINTS, 2), np.nan), np.zeros(NUM_JOINTS, bool)
    if asked.any():
        who, order = int(order[0]), order[1:]
        mine = places[who]
        valid = (visible[who] != OUTSIDE) & (mine[:, 2] > _NEAREST)
        pixels[valid] = camera.project(mine[valid])
    return LabelledFrame(depth, camera, mine, pixels, valid, key, places[order], asked[order])


def crop_frame(
    depth: NDArray[np.int16],
    frame: NDArray[np.float32],
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
    key: str,
) -> LabelledFrame:
    """A crop as the image of a camera that sees nothing else."""
    x, y, step, z_ref = (float(v) for v in frame)
    h, w = depth.shape
    z = np.where(depth == crops.MISSING, 0, depth / np.float32(1000) + z_ref).astype(np.float32)
    camera = Camera(1 / step, 1 / step, -x / step, -y / step, w, h)
    places = joints.astype(np.float64)
    pixels = np.full((NUM_JOINTS, 2), np.nan)
    known = places[:, 2] > _NEAREST
    pixels[known] = camera.project(places[known])
    inside = known & (visible != OUTSIDE)
    inside[known] &= ((pixels[known] >= 0) & (pixels[known] <= (w - 1, h - 1))).all(-1)
    places[~known] = np.nan
    return LabelledFrame(np.maximum(z, 0), camera, places, pixels, inside, key)
