"""Samples on disk: uncompressed .npz files of a few hundred samples each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.skeleton import NUM_JOINTS
from depth_pose_training.synthetic.knobs import MAX_PEOPLE
from depth_pose_training.synthetic.samples import CropSample, FrameSample

#: Whole frames are stored in the corner of a canvas, (height, width).
CANVAS = (160, 208)


@dataclass(frozen=True)
class Shard:
    """Arrays of one shard; see :class:`CropSample` and :class:`FrameSample` for the fields.

    Attributes:
        depth: (N, 216, 176) int16.  frame: (N, 4).  joints: (N, 19, 3).  visible: (N, 19).
        mode: (N,) str.  removed: (N,) bool.
        view_depth: (M, 160, 208) uint16 mm.  view_camera: (M, 6) fx, fy, cx, cy, width, height.
        view_joints: (M, 4, 19, 3).  view_visible: (M, 4, 19).  view_people: (M,) int.
    """

    depth: NDArray[np.int16]
    frame: NDArray[np.float32]
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]
    mode: NDArray[np.str_]
    removed: NDArray[np.bool_]
    view_depth: NDArray[np.uint16]
    view_camera: NDArray[np.float32]
    view_joints: NDArray[np.float32]
    view_visible: NDArray[np.uint8]
    view_people: NDArray[np.uint8]


def pack(crops: list[CropSample], views: list[FrameSample]) -> Shard:
    """Samples as one shard."""
    m = len(views)
    depth = np.zeros((m, *CANVAS), np.uint16)
    camera = np.zeros((m, 6), np.float32)
    joints = np.zeros((m, MAX_PEOPLE, NUM_JOINTS, 3), np.float32)
    visible = np.zeros((m, MAX_PEOPLE, NUM_JOINTS), np.uint8)
    for i, view in enumerate(views):
        h, w = view.depth.shape
        depth[i, :h, :w] = np.round(view.depth * 1000)
        c = view.camera
        camera[i] = (c.fx, c.fy, c.cx, c.cy, c.width, c.height)
        joints[i, : len(view.joints)] = view.joints
        visible[i, : len(view.joints)] = view.visible
    return Shard(
        np.stack([c.depth for c in crops]),
        np.stack([c.frame for c in crops]),
        np.stack([c.joints for c in crops]),
        np.stack([c.visible for c in crops]),
        np.array([c.mode for c in crops]),
        np.array([c.removed for c in crops]),
        depth,
        camera,
        joints,
        visible,
        np.array([len(v.joints) for v in views], np.uint8),
    )


def write(path: Path, shard: Shard) -> None:
    """Write atomically: a shard that exists is whole."""
    part = path.with_suffix(".part")
    with part.open("wb") as f:
        np.savez(f, **vars(shard))
    part.replace(path)


def read(path: Path) -> Shard:
    """Read one shard.

    Raises:
        ValueError: the file is not a shard of this version.
    """
    with np.load(path) as data:
        missing = set(Shard.__dataclass_fields__) - set(data.files)
        if missing:
            raise ValueError(f"{path} is not a shard of synthetic samples: it lacks {missing}")
        return Shard(**{k: data[k] for k in Shard.__dataclass_fields__})


def list_shards(folder: Path) -> list[Path]:
    """The shards of a folder in order.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(folder.glob("shard_*.npz"))
    if not found:
        raise FileNotFoundError(
            f"no shards in {folder}: "
            "make some with python -m depth_pose_training.synthetic.generate"
        )
    return found


def concatenate(shards: Iterable[Shard], fields: Iterable[str]) -> dict[str, NDArray[np.generic]]:
    """Some fields of several shards as whole arrays."""
    names = list(fields)
    parts: dict[str, list[NDArray[np.generic]]] = {k: [] for k in names}
    for shard in shards:
        for k in names:
            parts[k].append(getattr(shard, k))
    return {k: np.concatenate(v) for k, v in parts.items()}
