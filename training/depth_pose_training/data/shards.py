"""Training samples and their files: uncompressed .npz shards of a few hundred samples each."""

import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS

#: State of a joint: its own surface is visible; something hides it; it is outside the image.
VISIBLE, HIDDEN, OUTSIDE = 1, 0, 2
#: The maximum number of people in a scene.
MAX_PEOPLE = 4
#: Whole frames are stored in the corner of a canvas, (height, width).
CANVAS = (160, 208)
#: Joints with a smaller depth, metres, are unknown.
MIN_JOINT_DEPTH = 0.1
_TORSO = [INDEX[k] for k in ("UpperSpine", "MiddleSpine", "DownSpine", "LeftHip", "RightHip",
                             "LeftShoulder", "RightShoulder")]  # fmt: skip
#: A member's local header in a .zip file, up to the lengths of its name and extra field.
_ZIP_HEADER = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class CropSample:
    """The crop of one person, or a negative crop.

    Attributes:
        depth: (216, 176) int16, millimetres from the frame's z_ref; crops.MISSING where missing.
        frame: (4,) float32, :meth:`depth_pose_ros.core.crops.CropFrame.as_array`.
        joints: (19, 3) float32 metres, optical frame; 0 where unknown.
        visible: (19,) uint8, VISIBLE, HIDDEN or OUTSIDE.
        mode: the source of the pose ("mocap", "sitting", ...).
        removed: whether the background was removed.
    """

    depth: NDArray[np.int16]
    frame: NDArray[np.float32]
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]
    mode: str
    removed: bool


@dataclass(frozen=True)
class FrameSample:
    """A whole depth image and its people.

    Attributes:
        depth: (H, W) float32 metres, 0 where missing.
        camera: intrinsics of ``depth``.
        joints: (P, 19, 3) float32 metres, optical frame.
        visible: (P, 19) uint8.
    """

    depth: NDArray[np.float32]
    camera: Camera
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(P,) people with enough visible joints, see :func:`enough_visible`."""
        people = zip(self.joints, self.visible, strict=True)
        return np.array([enough_visible(j, v) for j, v in people], bool)


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

    def view(self, row: int) -> FrameSample:
        """One whole frame, without the canvas around it."""
        fx, fy, cx, cy, w, h = (float(v) for v in self.view_camera[row])
        camera, n = Camera(fx, fy, cx, cy, int(w), int(h)), int(self.view_people[row])
        depth = self.view_depth[row, : camera.height, : camera.width] / np.float32(1000)
        return FrameSample(depth, camera, self.view_joints[row, :n], self.view_visible[row, :n])


def enough_visible(joints: NDArray[np.floating], visible: NDArray[np.uint8]) -> bool:
    """Whether a person (19, 3) counts: between 0.5 and 7 m, with six visible joints, one of them of
    the torso."""
    return bool(
        0.5 < joints[INDEX["MiddleSpine"], 2] < 7
        and (visible == VISIBLE).sum() >= 6
        and (visible[_TORSO] == VISIBLE).sum() >= 1
    )


def cut_crop(
    depth: NDArray[np.float32], camera: Camera, frame: crops.CropFrame
) -> NDArray[np.int16]:
    """(216, 176) crop of a depth image in metres, as :attr:`CropSample.depth`."""
    crop = crops.cut(depth, camera, frame)
    millimetres = np.round(crop * (1000 * crops.DEPTH_RANGE)).astype(np.int16)
    millimetres[crop >= crops.FAR] = crops.MISSING
    return millimetres


def pack(samples: list[CropSample], views: list[FrameSample]) -> Shard:
    """Crops and whole frames as one shard."""
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
        np.array([s.depth for s in samples], np.int16).reshape(-1, crops.HEIGHT, crops.WIDTH),
        np.array([s.frame for s in samples], np.float32).reshape(-1, 4),
        np.array([s.joints for s in samples], np.float32).reshape(-1, NUM_JOINTS, 3),
        np.array([s.visible for s in samples], np.uint8).reshape(-1, NUM_JOINTS),
        np.array([s.mode for s in samples], np.str_),
        np.array([s.removed for s in samples], bool),
        depth,
        camera,
        joints,
        visible,
        np.array([len(v.joints) for v in views], np.uint8),
    )


def write(path: Path, shard: Shard) -> None:
    """Write a shard atomically."""
    part = path.with_suffix(".part")
    with part.open("wb") as f:
        np.savez(f, **vars(shard))
    part.replace(path)


def read(path: Path, mapped: bool = False) -> Shard:
    """Read one shard.

    Args:
        path: the .npz file.
        mapped: memory-map the arrays instead of loading them.

    Raises:
        ValueError: the file is not a shard of this version, or cannot be memory-mapped.
    """
    with np.load(path) as data:
        missing = set(Shard.__dataclass_fields__) - set(data.files)
        if missing:
            raise ValueError(f"{path} is not a shard: {', '.join(sorted(missing))} missing")
        if not mapped:
            return Shard(**{k: data[k] for k in Shard.__dataclass_fields__})
    return Shard(**{k: _map(path, f"{k}.npy") for k in Shard.__dataclass_fields__})


def _map(path: Path, member: str) -> NDArray[Any]:
    """Memory-map an array of an uncompressed .npz (NumPy itself maps only .npy files)."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{path} is compressed: only uncompressed shards can be mapped")
    with path.open("rb") as file:
        # Name and extra field of the local header may be longer than those of the directory.
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
    """Ask the operating system to prefetch a row of a memory-mapped array."""
    if isinstance(array, np.memmap) and array.filename and hasattr(os, "posix_fadvise"):
        size = array[row].nbytes
        with Path(array.filename).open("rb") as file:
            first = array.offset + row * size
            os.posix_fadvise(file.fileno(), first, size, os.POSIX_FADV_WILLNEED)


def list_shards(folder: Path) -> list[Path]:
    """Paths of the shards of a folder, sorted.

    Raises:
        FileNotFoundError: the folder has no shards.
    """
    paths = sorted(folder.glob("shard_*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"no shards in {folder}: make them with python -m depth_pose_training generate"
        )
    return paths
