"""K2HGD (also called K2HPD), the paper's dataset: one person in front of a Kinect v2.

Layout, after public descriptions and readers: depth images of 256 x 212 pixels in
``depth_images/00000001.png`` and so on; text files ``train_annos.txt`` and ``test_annos.txt`` with
one line per image: its name, then u and v of 19 joints in pixels, separated by commas or blanks.
No camera is published: the intrinsics are those of a Kinect v2 at half resolution.

:class:`K2hgd` reads this layout; :func:`write_frame`, :func:`write_block` and :func:`join_blocks`
write synthetic sets in it: 16-bit PNGs in millimetres, and in addition ``train_joints_3d.txt`` with
the joints in metres.  8-bit images have no metric scale: the reader then needs ``scale``.

Joints written as NaN, "0 0" or "-1 -1", and 3-D joints with a depth of 0 or less, are not labelled.

The order of the joints was inferred from their mean positions.  The first joint of a pair lies on
the left of the image, which is the right of a person who faces the camera.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import JOINTS, NUM_JOINTS
from depth_pose_training.data.datasets.base import (
    DatasetError,
    LabelledFrame,
    LabelledFrames,
    LabelledPerson,
    check_stride,
)
from depth_pose_training.engine.checkpoints import write_text

WIDTH, HEIGHT = 256, 212
CAMERA = Camera(182.5, 182.5, 127.5, 105.5, WIDTH, HEIGHT)
IMAGES = "depth_images"
SPLITS = ("train", "test")

#: Row of the annotation for each joint.
K2HGD_ROWS: dict[str, int] = {
    "Head": 0,
    "Neck": 1,
    "UpperSpine": 15,
    "MiddleSpine": 2,
    "DownSpine": 16,
    "RightShoulder": 3,
    "RightElbow": 4,
    "RightWrist": 5,
    "RightHand": 17,
    "LeftShoulder": 6,
    "LeftElbow": 7,
    "LeftWrist": 8,
    "LeftHand": 18,
    "RightHip": 9,
    "RightKnee": 10,
    "RightFoot": 11,
    "LeftHip": 12,
    "LeftKnee": 13,
    "LeftFoot": 14,
}


class K2hgd(LabelledFrames):
    """Frames of one split.

    Args:
        root: folder with ``depth_images`` and the annotation files.
        split: "train" or "test".
        stride: every n-th frame.
        scale: metres per grey level; None for 16-bit images in millimetres.

    Raises:
        DatasetError: a file is missing or malformed.
    """

    name = "k2hgd"

    def __init__(
        self, root: str | Path, split: str = "test", stride: int = 1, scale: float | None = None
    ) -> None:
        if split not in SPLITS:
            raise DatasetError(f'split must be "train" or "test", got {split!r}')
        check_stride(stride)
        self.root = Path(root)
        self._scale = scale
        names, pixels = read_annotations(self.root / f"{split}_annos.txt", 2)
        self._names, self._pixels = names[::stride], pixels[::stride]
        self._joints: NDArray[np.float64] | None = None
        positions = self.root / f"{split}_joints_3d.txt"
        if positions.is_file():
            image_names, joints = read_annotations(positions, 3)
            if image_names != names:
                raise DatasetError(f"{positions} and {split}_annos.txt list different images")
            self._joints = joints[::stride]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> LabelledFrame:
        name, pixels = self._names[index], self._pixels[index]
        unknown = np.full((NUM_JOINTS, 3), np.nan)
        joints = unknown if self._joints is None else self._joints[index]
        valid = np.isfinite(pixels).all(-1)
        person = LabelledPerson(joints, pixels, valid, bool(valid.any()))
        return LabelledFrame(
            self._read(self.root / IMAGES / name), CAMERA, (person,), Path(name).stem
        )

    def _read(self, path: Path) -> NDArray[np.float32]:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise DatasetError(f"{path} is missing or not an image")
        if image.ndim == 3:  # grey values in three channels
            image = image[..., 0]
        if image.shape != (HEIGHT, WIDTH):
            raise DatasetError(f"{path} has {image.shape[1]} x {image.shape[0]} pixels, not "
                               f"{WIDTH} x {HEIGHT}")  # fmt: skip
        if image.dtype != np.uint16 and self._scale is None:
            raise DatasetError(
                f"{path} is 8-bit, without a metric scale: set --scale, metres per grey level"
            )
        return image.astype(np.float32) * np.float32(self._scale or 0.001)


def read_annotations(path: Path, dimensions: int) -> tuple[list[str], NDArray[np.float64]]:
    """Names of images, and (N, 19, dimensions) joints, NaN where not labelled.

    Raises:
        DatasetError: the file is missing, or a line is not a name and 19 points.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: --root must be the folder of the dataset")
    names, rows = [], []
    # Editors on Windows write a byte-order mark (utf-8-sig) and "\r\n".
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            if len(words) != 1 + NUM_JOINTS * dimensions:
                raise ValueError(f"{len(words) - 1} numbers")
            rows.append([float(w) for w in words[1:]])
        except ValueError as error:
            raise DatasetError(
                f"{path}, line {number}: expected a name and {NUM_JOINTS * dimensions} numbers, "
                f"got {error}"
            ) from None
        names.append(words[0])
    if not rows:
        raise DatasetError(f"{path} is empty")
    points = np.array(rows).reshape(-1, NUM_JOINTS, dimensions)
    if dimensions == 3:
        unlabelled = ~(points[..., 2] > 0)
    else:
        unlabelled = (points == 0).all(-1) | (points == -1).all(-1)
    points[unlabelled | ~np.isfinite(points).all(-1)] = np.nan
    return names, points[:, [K2HGD_ROWS[name] for name in JOINTS]]


def write_frame(
    root: Path,
    number: int,
    depth: NDArray[np.float32],
    joints: NDArray[np.floating],
) -> tuple[str, str]:
    """Write one image of :data:`CAMERA`.

    Args:
        root: folder of the set.
        number: index of the image, from 0.
        depth: (212, 256) metres, 0 where missing.
        joints: (19, 3) metres, optical frame.

    Returns:
        Its lines of the annotation files with pixels and with 3-D joints.
    """
    name = f"{number + 1:08d}.png"
    path = root / IMAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    millimetres = np.clip(np.round(depth * 1000), 0, np.iinfo(np.uint16).max).astype(np.uint16)
    if not cv2.imwrite(str(path), millimetres):
        raise OSError(f"could not write {path}")
    order = sorted(JOINTS, key=lambda joint: K2HGD_ROWS[joint])
    points = np.asarray(joints, dtype=np.float64)[[JOINTS.index(joint) for joint in order]]
    pixels = " ".join(f"{v:.2f}" for v in CAMERA.project(points).ravel())
    return f"{name} {pixels}", f"{name} " + " ".join(f"{v:.4f}" for v in points.ravel())


def block_path(root: Path, index: int) -> Path:
    """File with the annotations of one block until the set is complete."""
    return root / "blocks" / f"block_{index:05d}.txt"


def write_block(path: Path, lines: Sequence[tuple[str, str]]) -> None:
    """Write the annotations of one block atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{a}\n{b}\n" for a, b in lines))


def join_blocks(root: Path, split: str, blocks: Sequence[Path]) -> None:
    """Write the annotation files of a split from those of its blocks."""
    lines = [line for path in blocks for line in path.read_text(encoding="utf-8").splitlines()]
    for name, first in ((f"{split}_annos.txt", 0), (f"{split}_joints_3d.txt", 1)):
        write_text(root / name, "".join(f"{line}\n" for line in lines[first::2]))
