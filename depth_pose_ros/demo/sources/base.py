"""The interface of a depth source, and the error raised for an unusable one."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera

#: Playback rate in Hz of a source that does not specify one.
DEFAULT_FPS = 15.0


class SourceError(Exception):
    """A source cannot be played; the message says why and how to correct it."""


class DepthFrame(NamedTuple):
    """One depth image.

    Attributes:
        stamp: seconds since an arbitrary epoch; only differences are used.
        depth: (H, W) uint16 millimetres, 0 where missing (REP-118).
    """

    stamp: float
    depth: NDArray[np.uint16]


class DepthSource(Protocol):
    """An iterable of depth images, read lazily on every iteration."""

    @property
    def name(self) -> str:
        """Description for the user."""

    @property
    def camera(self) -> Camera:
        """Intrinsics of every frame."""

    @property
    def fps(self) -> float:
        """Nominal frame rate, Hz."""

    def __len__(self) -> int:
        """Number of frames; for a bag, the number in its metadata."""

    def __iter__(self) -> Iterator[DepthFrame]:
        """Iterate over the frames in order of their stamps.

        Raises:
            SourceError: a frame cannot be read.
        """


def millimetres(metres: NDArray[np.floating]) -> NDArray[np.uint16]:
    """(H, W) metres, 0 where missing -> (H, W) uint16 mm, 0 where missing or beyond 65.535 m."""
    rounded: NDArray[np.floating] = np.rint(metres * 1000.0)
    rounded[rounded > np.iinfo(np.uint16).max] = 0
    return np.asarray(rounded, dtype=np.uint16)


def check_size(depth: NDArray[np.generic], camera: Camera, where: str) -> None:
    """Check that a depth image (H, W) has the size of its camera.

    Raises:
        SourceError: the sizes differ.
    """
    height, width = depth.shape
    if (width, height) != (camera.width, camera.height):
        raise SourceError(
            f"{where} is {width} x {height} pixels, but its camera has "
            f"{camera.width} x {camera.height}: use a camera file for this image size"
        )
