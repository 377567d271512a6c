"""Samples on disk: uncompressed .npz files of a few hundred samples each."""

import os
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.records import CropSample, FrameSample
from depth_pose_training.data.synthetic.config import MAX_PEOPLE

#: Whole frames are stored in the corner of a canvas, (height, width).
CANVAS = (160, 208)
#: A member's local header in a .zip file, up to the lengths of its name and extra field.
_ZIP_HEADER = struct.Struct("<4s5H3L2H")


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


def read(path: Path, mapped: bool = False) -> Shard:
    """Read one shard.

    Args:
        path: of the shard.
        mapped: leave the arrays on disk, read when they are indexed.

    Raises:
        ValueError: the file is not a shard of this version, or cannot be mapped.
    """
    with np.load(path) as data:
        missing = set(Shard.__dataclass_fields__) - set(data.files)
        if missing:
            raise ValueError(f"{path} is not a shard of synthetic samples: it lacks {missing}")
        if not mapped:
            return Shard(**{k: data[k] for k in Shard.__dataclass_fields__})
    return Shard(**{k: _map(path, f"{k}.npy") for k in Shard.__dataclass_fields__})


def _map(path: Path, member: str) -> NDArray[Any]:
    """An array of an uncompressed .npz, memory-mapped (numpy itself maps only .npy files)."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{path} is compressed: only uncompressed shards can be mapped")
    with path.open("rb") as file:
        # The local header's own name and extra field may be longer than the directory's.
        file.seek(info.header_offset)
        header = file.read(_ZIP_HEADER.size)
        *_, name, extra = _ZIP_HEADER.unpack(header)
        file.seek(name + extra, 1)
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(file)
        if 0 in shape:
            return np.zeros(shape, dtype)
        order: Literal["F", "C"] = "F" if fortran else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


def read_ahead(array: NDArray[Any], row: int) -> None:
    """Have the operating system read a row of a mapped array while something else is done.

    Rows that are asked for at random are waited for one after the other, otherwise.
    """
    if isinstance(array, np.memmap) and array.filename and hasattr(os, "posix_fadvise"):
        size = array[row].nbytes
        with Path(array.filename).open("rb") as file:
            first = array.offset + row * size
            os.posix_fadvise(file.fileno(), first, size, os.POSIX_FADV_WILLNEED)


def list_shards(folder: Path) -> list[Path]:
    """The shards of a folder in order.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(folder.glob("shard_*.npz"))
    if not found:
        raise FileNotFoundError(
            f"no shards in {folder}: make some with python -m depth_pose_training generate"
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
