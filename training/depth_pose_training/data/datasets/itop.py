"""ITOP: depth of one person from the side or from above (Haque et al., ECCV 2016), HDF5.

Files ``ITOP_side_train_depth_map.h5`` with ``data`` (N, 240, 320) metres and ``id``, and
``ITOP_side_train_labels.h5`` with ``id``, ``is_valid``, ``image_coordinates`` (N, 15, 2) and
``real_world_coordinates`` (N, 15, 3) metres, x right, y up, z forward; in the same way for the view
"top" and the split "test".  Intrinsics: u = x / (0.0035 z) + 160, v = 120 - y / (0.0035 z).

The labels have no UpperSpine, DownSpine and wrists.  Left and right are as in the files.
"""

from pathlib import Path
from typing import Any

import numpy as np

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data.datasets.base import (
    DatasetError,
    LabelledFrame,
    LabelledFrames,
    LabelledPerson,
    check_stride,
)

CAMERA = Camera(1 / 0.0035, 1 / 0.0035, 160.0, 120.0, 320, 240)
VIEWS, SPLITS = ("side", "top"), ("train", "test")

#: Row of the labels for each joint.
ITOP: dict[str, int] = {
    "Head": 0,
    "Neck": 1,
    "RightShoulder": 2,
    "LeftShoulder": 3,
    "RightElbow": 4,
    "LeftElbow": 5,
    "RightHand": 6,
    "LeftHand": 7,
    "MiddleSpine": 8,
    "RightHip": 9,
    "LeftHip": 10,
    "RightKnee": 11,
    "LeftKnee": 12,
    "RightFoot": 13,
    "LeftFoot": 14,
}
_JOINTS, _ROWS = [INDEX[k] for k in ITOP], list(ITOP.values())


class Itop(LabelledFrames):
    """Frames with valid labels.

    Args:
        root: folder with the .h5 files.
        view: "side" or "top".
        split: "train" or "test".
        stride: every n-th frame.

    Raises:
        DatasetError: h5py is not installed, or a file is missing or holds something else.
    """

    name = "itop"

    def __init__(
        self, root: str | Path, view: str = "side", split: str = "test", stride: int = 1
    ) -> None:
        if view not in VIEWS or split not in SPLITS:
            raise DatasetError(f"view must be one of {VIEWS} and split one of {SPLITS}")
        check_stride(stride)
        stem = Path(root) / f"ITOP_{view}_{split}"
        labels = _open(stem.with_name(stem.name + "_labels.h5"))
        self._path = stem.with_name(stem.name + "_depth_map.h5")
        self._depth = _dataset(_open(self._path), "data", (CAMERA.height, CAMERA.width))
        ids = _dataset(labels, "id", ())
        self._joints = _dataset(labels, "real_world_coordinates", (len(ITOP), 3))
        valid = np.asarray(_dataset(labels, "is_valid", ())).astype(bool)
        if not len(ids) == len(valid) == len(self._joints) == len(self._depth):
            raise DatasetError(f"{stem}: the numbers of images and labels differ")
        self._ids = [v.decode() if isinstance(v, bytes) else str(v) for v in ids]
        self._rows = np.flatnonzero(valid)[::stride]
        if not len(self._rows):
            raise DatasetError(f"{stem}: no frame has valid labels")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledFrame:
        row = int(self._rows[index])
        depth = np.nan_to_num(np.asarray(self._depth[row], dtype=np.float32), posinf=0, neginf=0)
        world = np.asarray(self._joints[row], dtype=np.float64) * (1.0, -1.0, 1.0)
        joints = np.full((NUM_JOINTS, 3), np.nan)
        joints[_JOINTS] = world[_ROWS]
        joints[~(joints[:, 2] > 0)] = np.nan
        pixels = np.full((NUM_JOINTS, 2), np.nan)
        known = np.isfinite(joints).all(-1)
        pixels[known] = CAMERA.project(joints[known])
        person = LabelledPerson(joints, pixels, known, bool(known.any()))
        return LabelledFrame(depth, CAMERA, (person,), self._ids[row])


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DatasetError("ITOP needs h5py: pip install h5py") from error
    if not path.is_file():
        raise DatasetError(f"{path} is missing: --root must be the folder of the unpacked dataset")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(f"{path} is not a readable HDF5 file: {error}") from error


def _dataset(file: Any, name: str, shape: tuple[int, ...]) -> Any:
    if name not in file:
        raise DatasetError(f"{file.filename} contains no {name}")
    if file[name].shape[1:] != shape:
        raise DatasetError(
            f"{file.filename}: {name} has the shape {file[name].shape}, not (N, {shape})"
        )
    return file[name]
