"""What every depth source of the demo yields, and the one error a bad source gives."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera

#: Playback rate of a source that does not say its own, Hz.
DEFAULT_FPS = 15.0


class SourceError(Exception):
    """A source that cannot be played; the message names what is wrong and what to do."""


class DepthFrame(NamedTuple):
    """One depth image.

    Attributes:
        stamp: seconds since the source's own start or epoch; only differences matter.
        depth: (H, W) uint16 millimetres, 0 where missing (REP-118).
    """

    stamp: float
    depth: NDArray[np.uint16]


class DepthSource(Protocol):
    """An iterable of frames, read lazily and as often as it is iterated."""

    @property
    def name(self) -> str:
        """What is played, in words for the summary."""

    @property
    def camera(self) -> Camera:
        """Intrinsics of every frame."""

    @property
    def fps(self) -> float:
        """Frames a second, nominal."""

    def __len__(self) -> int:
        """How many frames an iteration yields (for a bag: how many it announces)."""

    def __iter__(self) -> Iterator[DepthFrame]:
        """Frames in order of their stamps.

        Raises:
            SourceError: a frame cannot be read.
        """


def millimetres(metres: NDArray[np.floating]) -> NDArray[np.uint16]:
    """(H, W) metres, 0 where missing -> (H, W) uint16 mm, 0 where missing or beyond 65.535 m."""
    rounded: NDArray[np.floating] = np.rint(metres * 1000.0)
    rounded[rounded > np.iinfo(np.uint16).max] = 0
    return np.asarray(rounded, dtype=np.uint16)


def check_size(depth: NDArray[np.generic], camera: Camera, where: str) -> None:
    """Hold a frame (H, W) against the size its camera announces.

    Raises:
        SourceError: the sizes differ.
    """
    height, width = depth.shape
    if (width, height) != (camera.width, camera.height):
        raise SourceError(
            f"{where} is {width} x {height} pixels, but its camera says "
            f"{camera.width} x {camera.height}: give the camera file of this very image size"
        )
