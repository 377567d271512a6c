"""Synthetic images as a dataset: read from shards, or rendered on access."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data.datasets.base import (
    DatasetError,
    LabelledFrame,
    LabelledFrames,
    LabelledPerson,
    check_stride,
)
from depth_pose_training.data.shards import (
    MIN_JOINT_DEPTH,
    OUTSIDE,
    FrameSample,
    Shard,
    list_shards,
    read,
)

KINDS = ("frames", "crops")
#: Focal length of rendered frames, pixels: a Kinect v2's.
FOCAL = 365.0


class SyntheticShards(LabelledFrames):
    """Frames of shards: the whole images, or the crops as images with their own cameras.

    Args:
        root: folder of shards.
        kind: "frames" or "crops".
        people: only whole frames with this number of people.
        stride: every n-th frame.

    Raises:
        DatasetError: there are no shards, or no such frames.
    """

    name = "synthetic"

    def __init__(
        self, root: str | Path, kind: str = "frames", people: int | None = None, stride: int = 1
    ) -> None:
        if kind not in KINDS:
            raise DatasetError(f"kind must be one of {KINDS}, got {kind!r}")
        check_stride(stride)
        self._kind = kind
        try:
            self._paths = list_shards(Path(root))
            # Memory-mapped files stay open: limit their number.
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

    def __getitem__(self, index: int) -> LabelledFrame:
        number, row = self._rows[index]
        shard: Shard = self._shard(number)
        key = f"{self._paths[number].stem}/{row}"
        if self._kind == "frames":
            return whole_frame(shard.view(row), key)
        return crop_frame(
            shard.depth[row], shard.frame[row], shard.joints[row], shard.visible[row],
            f"{key}/{shard.mode[row]}",
        )  # fmt: skip


class RenderedFrames(LabelledFrames):
    """Frames with the resolution of a Kinect v2, rendered in order.

    Only the last frame is kept: access in order is fast, access to an earlier frame renders all
    frames from the first one again.

    Args:
        motion: motion-capture .npz files; their validation clips are used.
        count: number of frames.
        seed: of all random choices.
        generator: YAML file, see ``training/configs/generator.yaml``.
    """

    name = "synthetic"

    def __init__(
        self, motion: list[Path], count: int = 100, seed: int = 0, generator: Path | None = None
    ) -> None:
        # Imported here because loading the body model takes seconds.
        from depth_pose_training.data.synthetic import mocap
        from depth_pose_training.data.synthetic.config import load
        from depth_pose_training.data.synthetic.samples import Generator

        try:
            clips = [c for p in motion for c in mocap.split(mocap.load_clips(p), validation=True)]
            self._generator = Generator(clips, config=load(generator))
        except (ValueError, OSError) as error:
            raise DatasetError(str(error)) from error
        self._seed, self._count = seed, count
        self._next, self._samples = 0, self._start()
        self._last: LabelledFrame | None = None

    def _start(self) -> Iterator[FrameSample]:
        return self._generator.frames(self._seed, (FOCAL, FOCAL))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> LabelledFrame:
        if not 0 <= index < self._count:
            raise IndexError(index)
        if index < self._next - 1:
            self._next, self._samples = 0, self._start()
        while self._next <= index:
            self._last = whole_frame(next(self._samples), f"{self._next:06d}")
            self._next += 1
        assert self._last is not None
        return self._last


def whole_frame(sample: FrameSample, key: str) -> LabelledFrame:
    """A whole image; counted people first, the nearest first of all."""
    joints = np.asarray(sample.joints, dtype=np.float64)
    counted = sample.counted
    people = []
    spine = INDEX["MiddleSpine"]
    for i in np.argsort(np.where(counted, joints[:, spine, 2], np.inf), kind="stable"):
        valid = (sample.visible[i] != OUTSIDE) & (joints[i, :, 2] > MIN_JOINT_DEPTH)
        people.append(_person(joints[i], valid, sample.camera, bool(counted[i])))
    return LabelledFrame(sample.depth, sample.camera, tuple(people), key)


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
    points = joints.astype(np.float64)
    points[points[:, 2] <= MIN_JOINT_DEPTH] = np.nan
    person = _person(points, np.asarray(np.isfinite(points).all(-1)), camera)
    inside = ((person.pixels >= 0) & (person.pixels <= (w - 1, h - 1))).all(-1)
    valid = person.valid & inside & (visible != OUTSIDE)
    person = LabelledPerson(person.joints, person.pixels, valid, bool(valid.any()))
    return LabelledFrame(np.maximum(z, 0), camera, (person,), key)


def _person(
    joints: NDArray[np.float64], valid: NDArray[np.bool_], camera: Camera, counted: bool = True
) -> LabelledPerson:
    pixels = np.full((NUM_JOINTS, 2), np.nan)
    pixels[valid] = camera.project(joints[valid])
    return LabelledPerson(joints, pixels, valid, counted)
