"""The pinhole camera: projection and back-projection in a camera's optical frame (REP-103).

x points right, y down and z forward; metres.  Pixel (0, 0) is the centre of the top-left pixel.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray


class CameraError(ValueError):
    """The intrinsics cannot belong to a working camera."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics of a rectified depth image, in pixels.

    Raises:
        CameraError: a focal length or a size that is not positive, or a value that is not finite
            (an uncalibrated driver publishes an all-zero K).
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if not all(isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)):
            raise CameraError(f"camera intrinsics must be finite numbers, got {self}")
        if self.fx <= 0 or self.fy <= 0:
            raise CameraError(
                f"focal lengths must be positive, got fx={self.fx}, fy={self.fy}: "
                "is the camera calibrated? An all-zero K in camera_info means it is not"
            )
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f"image size must be positive, got {self.width} x {self.height}")

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """(..., 3) metres in the optical frame -> (..., 2) pixels (u, v).  z must not be 0."""
        p = np.asarray(points, dtype=np.float64)
        return np.stack(
            (self.fx * p[..., 0] / p[..., 2] + self.cx, self.fy * p[..., 1] / p[..., 2] + self.cy),
            axis=-1,
        )

    def back_project(self, pixels: ArrayLike, depth: ArrayLike) -> NDArray[np.float64]:
        """(..., 2) pixels and (...) depths in metres -> (..., 3) metres in the optical frame."""
        uv = np.asarray(pixels, dtype=np.float64)
        z = np.asarray(depth, dtype=np.float64)
        return np.stack(
            ((uv[..., 0] - self.cx) / self.fx * z, (uv[..., 1] - self.cy) / self.fy * z, z),
            axis=-1,
        )
