"""K2HGD (also called K2HPD), the paper's own dataset: one person before a Kinect v2.

The layout, as public descriptions and readers of it show it: depth images of 256 x 212 pixels in
``depth_images/00000001.png`` and so on, and text files ``train_annos.txt`` and ``test_annos.txt``
with a line per image, its name and then u and v of 19 joints in pixels, separated by commas or
blanks.  No camera is published: intrinsics are those of a Kinect v2 at half its resolution.

:class:`K2hgd` reads it, and :func:`write_frame` with its fellows writes sets of our own in it: PNGs
of 16-bit millimetres, and beside the joints' pixels their positions, ``train_joints_3d.txt``, which
the original does not have.  The original's images, where they are 8-bit, are shades without a
scale: then its reader needs to be told the ``scale``.

The order of the joints was inferred from their mean positions.  The first of two joints of a pair
lies on the image's left, which is the right of a person who faces the camera.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import JOINTS, NUM_JOINTS
from depth_pose_training.data.datasets.base import DatasetError, LabelledFrame
from depth_pose_training.engine.checkpoints import write_text

WIDTH, HEIGHT = 256, 212
CAMERA = Camera(182.5, 182.5, 127.5, 105.5, WIDTH, HEIGHT)
IMAGES = "depth_images"
SPLITS = ("train", "test")

#: Row of the annotation for each of our joints.
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


class K2hgd:
    """Frames of one split, read one at a time.

    Args:
        root: folder with ``depth_images`` and the annotation files.
        split: "train" or "test".
        stride: every n-th frame.
        scale: metres of one grey level; 16-bit images are in millimetres by default.

    Raises:
        DatasetError: a file is missing or malformed.
    """

    name = "k2hgd"
    torso_top = "Neck"

    def __init__(
        self, root: str | Path, split: str = "test", stride: int = 1, scale: float | None = None
    ) -> None:
        if split not in SPLITS:
            raise DatasetError(f'split must be "train" or "test", got {split!r}')
        if stride < 1:
            raise DatasetError(f"stride must be at least 1, got {stride}")
        self.root = Path(root)
        self._scale = scale
        names, pixels = read_annotations(self.root / f"{split}_annos.txt", 2)
        self._names, self._pixels = names[::stride], pixels[::stride]
        self._joints: NDArray[np.float64] | None = None
        positions = self.root / f"{split}_joints_3d.txt"
        if positions.is_file():
            theirs, joints = read_annotations(positions, 3)
            if theirs != names:
                raise DatasetError(f"{positions} is not of the same images as {split}_annos.txt")
            self._joints = joints[::stride]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> LabelledFrame:
        name, pixels = self._names[index], self._pixels[index]
        unknown = np.full((NUM_JOINTS, 3), np.nan)
        return LabelledFrame(
            depth=self._read(self.root / IMAGES / name),
            camera=CAMERA,
            joints=unknown if self._joints is None else self._joints[index],
            pixels=pixels,
            valid=np.isfinite(pixels).all(-1),
            key=Path(name).stem,
        )

    def _read(self, path: Path) -> NDArray[np.float32]:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise DatasetError(f"{path} is missing or no image")
        if image.ndim == 3:  # grey, three times over
            image = image[..., 0]
        if image.shape != (HEIGHT, WIDTH):
            raise DatasetError(f"{path} has {image.shape[1]} x {image.shape[0]} pixels, not "
                               f"{WIDTH} x {HEIGHT}")  # fmt: skip
        if image.dtype != np.uint16 and self._scale is None:
            raise DatasetError(
                f"{path} is 8-bit, shades without a scale: give the option scale, "
                "the metres of one grey level"
            )
        return image.astype(np.float32) * np.float32(self._scale or 0.001)


def read_annotations(path: Path, dimensions: int) -> tuple[list[str], NDArray[np.float64]]:
    """Names of images, and (N, 19, dimensions) joints in our order.

    Raises:
        DatasetError: the file is missing, or a line is not a name and 19 points; says which.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: is the root the dataset's folder?")
    names, rows = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
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
    return names, points[:, [K2HGD_ROWS[name] for name in JOINTS]]


def write_frame(
    root: Path,
    number: int,
    depth: NDArray[np.float32],
    joints: NDArray[np.floating],
) -> tuple[str, str]:
    """Write one image of :data:`CAMERA` and make its lines of both annotation files.

    Args:
        root: of the set.
        number: of the image, from 0.
        depth: (212, 256) metres, 0 where missing.
        joints: (19, 3) metres, optical frame.
    """
    name = f"{number + 1:08d}.png"
    path = root / IMAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    millimetres = np.clip(np.round(depth * 1000), 0, np.iinfo(np.uint16).max).astype(np.uint16)
    if not cv2.imwrite(str(path), millimetres):
        raise OSError(f"could not write {path}")
    order = sorted(JOINTS, key=lambda joint: K2HGD_ROWS[joint])
    theirs = np.asarray(joints, dtype=np.float64)[[JOINTS.index(joint) for joint in order]]
    pixels = " ".join(f"{v:.2f}" for v in CAMERA.project(theirs).ravel())
    return f"{name} {pixels}", f"{name} " + " ".join(f"{v:.4f}" for v in theirs.ravel())


def block_path(root: Path, index: int) -> Path:
    """Where the annotations of a part of a set are kept while the set is made."""
    return root / "blocks" / f"block_{index:05d}.txt"


def write_block(path: Path, lines: Sequence[tuple[str, str]]) -> None:
    """Write a part's annotations; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{a}\n{b}\n" for a, b in lines))


def join_blocks(root: Path, split: str, blocks: Sequence[Path]) -> None:
    """The annotation files of a split from all its parts."""
    lines = [line for path in blocks for line in path.read_text(encoding="utf-8").splitlines()]
    for name, first in ((f"{split}_annos.txt", 0), (f"{split}_joints_3d.txt", 1)):
        write_text(root / name, "".join(f"{line}\n" for line in lines[first::2]))
