"""A depth sequence of UTD-MHAD (Chen, Jafari and Kehtarnavaz, ICIP 2015) as a depth source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.sources.base import DepthFrame, SourceError

FPS = 30.0
WIDTH, HEIGHT = 320, 240
#: Kinect v1 at half resolution.  The SDK's images are mirrored.  After the flip, the nominal
#: principal point 160 would be 319 - 160; 160.7 aligns the dataset's skeletons with the images,
#: which are otherwise 1.7 pixels apart (depth_pose_training.commands.utd_registration).
CAMERA = Camera(fx=285.63, fy=285.63, cx=160.7, cy=120.0, width=WIDTH, height=HEIGHT)


@dataclass(frozen=True)
class UtdMhad:
    """One ``aA_sS_tT_depth.mat``; the background has been removed."""

    name: str
    frames: NDArray[np.uint16]  # (T, H, W), not mirrored
    camera: Camera = CAMERA
    fps: float = FPS

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[DepthFrame]:
        for i, frame in enumerate(self.frames):
            yield DepthFrame(i / self.fps, np.ascontiguousarray(frame))


def open_sequence(path: Path) -> UtdMhad:
    """Read a sequence.  MATLAB files have no random access, so the whole file is read (15 MB).

    Raises:
        SourceError: scipy is missing, or the file is not a UTD-MHAD depth sequence.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise SourceError(
            f"{path} is a MATLAB file, which needs scipy: `pip install scipy` "
            "(Ubuntu: python3-scipy)"
        ) from error
    try:
        depth = loadmat(str(path)).get("d_depth")
    except Exception as error:  # loadmat raises many types for damaged files
        raise SourceError(f"{path} is not a readable MATLAB file: {error}") from error
    if depth is None or depth.ndim != 3 or depth.shape[:2] != (HEIGHT, WIDTH):
        found = "no such array" if depth is None else f"an array of shape {depth.shape}"
        raise SourceError(
            f"{path} is not a UTD-MHAD depth sequence: expected `d_depth` of {HEIGHT} x {WIDTH} x T"
            f" millimetres, found {found}. Use a file of the Depth folder, aA_sS_tT_depth.mat"
        )
    mirrored = np.moveaxis(depth.astype(np.uint16, copy=False), 2, 0)
    return UtdMhad(f"the UTD-MHAD sequence {path.name}", mirrored[:, :, ::-1])
