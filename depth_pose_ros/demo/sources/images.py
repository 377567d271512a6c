"""16-bit PNG or TIFF files as a depth source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.calibration import Calibration
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.sources.base import DepthFrame, SourceError, check_size
from depth_pose_ros.demo.sources.camera_file import CameraFile, read_camera_file

CAMERA_FILE = "camera.yaml"
#: Seconds for which a single image is published.
STILL_SECONDS = 3.0


@dataclass(frozen=True)
class ImageFiles:
    """16-bit PNG or TIFF files in millimetres, played in the given order at a fixed rate."""

    name: str
    calibration: Calibration
    fps: float
    paths: tuple[Path, ...]

    @property
    def camera(self) -> Camera:
        return self.calibration.camera

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[DepthFrame]:
        previous: Path | None = None
        for i, path in enumerate(self.paths):
            if path != previous:  # a still image repeats one path
                depth, previous = read_depth_image(path), path
                check_size(depth, self.camera, str(path))
                depth = self.calibration.rectify(depth)
            yield DepthFrame(i / self.fps, depth)


def read_depth_image(path: Path) -> NDArray[np.uint16]:
    """Read an image file as (H, W) uint16 millimetres, 0 where missing.

    Raises:
        SourceError: the file is not an image with one 16-bit channel.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SourceError(f"{path} cannot be read as an image: it may be damaged")
    if image.dtype != np.uint16 or image.ndim != 2:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise SourceError(
            f"{path} has {channels} channel(s) of {image.dtype}, but a depth image has "
            "one 16-bit channel in millimetres. Color images and colorized depth are not supported"
        )
    return image.astype(np.uint16, copy=False)


def open_folder(folder: Path, camera_file: Path | None) -> ImageFiles:
    """Open all ``*.png`` of a folder, sorted by name, with its ``camera.yaml``.

    Raises:
        SourceError: no PNGs, or no usable camera file.
    """
    paths = tuple(sorted(folder.glob("*.png")))
    if not paths:
        raise SourceError(
            f"{folder} contains neither a rosbag2 (metadata.yaml, *.mcap, *.db3) nor *.png files"
        )
    camera = read_camera_file(_camera_file(folder, camera_file))
    name = f"{len(paths)} images of {folder}"
    return ImageFiles(name, _calibration(camera, paths[0]), camera.fps, paths)


def open_still(path: Path, camera_file: Path | None) -> ImageFiles:
    """Open one image, repeated for :data:`STILL_SECONDS`.

    Raises:
        SourceError: no usable camera file.
    """
    camera = read_camera_file(_camera_file(path.parent, camera_file))
    count = max(1, round(STILL_SECONDS * camera.fps))
    name = f"the still image {path}"
    return ImageFiles(name, _calibration(camera, path), camera.fps, (path,) * count)


def _calibration(camera: CameraFile, first: Path) -> Calibration:
    """Calibration of images of the size of the first."""
    height, width = read_depth_image(first).shape
    return camera.calibration(width, height)


def _camera_file(folder: Path, given: Path | None) -> Path:
    if given is not None:
        return given
    path = folder / CAMERA_FILE
    if not path.exists():
        raise SourceError(
            f"no intrinsics: add {CAMERA_FILE} to {folder} or pass a file with --camera (make: "
            "CAMERA=...). It defines fx, fy, cx, cy, width, height in pixels and optionally fps"
        )
    return path
