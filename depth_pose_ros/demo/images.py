"""A folder of 16-bit PNGs, or one of them, as a depth source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.camera_file import read_camera_file
from depth_pose_ros.demo.frames import DepthFrame, SourceError, check_size

CAMERA_FILE = "camera.yaml"
#: How long a single image is shown, in seconds: enough for a pose and its rate to settle.
STILL_SECONDS = 3.0


@dataclass(frozen=True)
class ImageFiles:
    """16-bit PNG or TIFF files of millimetres, played at a fixed rate in the given order."""

    name: str
    camera: Camera
    fps: float
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[DepthFrame]:
        read: Path | None = None
        for i, path in enumerate(self.paths):
            if path != read:  # a still image is one path many times
                depth, read = read_depth_image(path), path
                check_size(depth, self.camera, str(path))
            yield DepthFrame(i / self.fps, depth)


def read_depth_image(path: Path) -> NDArray[np.uint16]:
    """One image file -> (H, W) uint16 millimetres, 0 where missing.

    Raises:
        SourceError: the file is no image, or not one 16-bit channel.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SourceError(f"{path} cannot be read as an image: is it complete?")
    if image.dtype != np.uint16 or image.ndim != 2:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise SourceError(
            f"{path} has {channels} channel(s) of {image.dtype}, a depth image has one 16-bit "
            "channel of millimetres: is this a color or an already colorized picture?"
        )
    return image.astype(np.uint16, copy=False)


def open_folder(folder: Path, camera_file: Path | None) -> ImageFiles:
    """All ``*.png`` of a folder in the order of their names, with its ``camera.yaml``.

    Raises:
        SourceError: no PNGs, or no usable camera file.
    """
    paths = tuple(sorted(folder.glob("*.png")))
    if not paths:
        raise SourceError(
            f"{folder} holds neither a rosbag2 (metadata.yaml, *.mcap, *.db3) nor *.png files"
        )
    camera, fps = read_camera_file(_camera_file(folder, camera_file))
    return ImageFiles(f"{len(paths)} images of {folder}", camera, fps, paths)


def open_still(path: Path, camera_file: Path | None) -> ImageFiles:
    """One image, shown for :data:`STILL_SECONDS`.

    Raises:
        SourceError: no usable camera file.
    """
    camera, fps = read_camera_file(_camera_file(path.parent, camera_file))
    count = max(1, round(STILL_SECONDS * fps))
    return ImageFiles(f"the still image {path}", camera, fps, (path,) * count)


def _camera_file(folder: Path, given: Path | None) -> Path:
    if given is not None:
        return given
    path = folder / CAMERA_FILE
    if not path.exists():
        raise SourceError(
            f"no intrinsics: put a {CAMERA_FILE} into {folder} or name one with --camera (make: "
            "CAMERA=...). It holds fx, fy, cx, cy, width, height in pixels and optionally fps"
        )
    return path
