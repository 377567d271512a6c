"""The metric, person-centred crop: input of the pose network.

A crop covers a fixed size in metres at the person's depth, whatever the camera's resolution and
intrinsics, so a person has the same size in pixels at any distance from any sensor.  Its values are
depth relative to the person, in units of :data:`DEPTH_RANGE`.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_pose_ros.core.camera import Camera

HEIGHT, WIDTH = 216, 176  #: network input size (paper, Fig. 3)
METRES_PER_PIXEL = 2.4 / HEIGHT  #: at the reference depth: 2.40 m x 1.96 m
DEPTH_RANGE = 1.2  #: metres on either side of the reference depth
FAR = 1.0  #: value of missing depth, the farthest
MISSING = np.iinfo(np.int16).max  #: missing depth in whole millimetres


@dataclass(frozen=True)
class CropFrame:
    """Geometry of a crop: the viewing rays of its pixels and its reference depth.

    Crop pixel (x, y) looks along (ray_x + step * x, ray_y + step * y, 1) in the camera's optical
    frame; ``z_ref`` is in metres.
    """

    ray_x: float
    ray_y: float
    step: float
    z_ref: float

    def as_array(self) -> NDArray[np.float32]:
        """(4,) float32: ray_x, ray_y, step, z_ref."""
        return np.array((self.ray_x, self.ray_y, self.step, self.z_ref), dtype=np.float32)

    def to_space(self, pixels: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
        """(..., 2) crop pixels and (...) depths in metres -> (..., 3) metres, optical frame."""
        xy, depth = np.asarray(pixels, dtype=np.float64), np.asarray(z, dtype=np.float64)
        return np.stack(
            (
                (self.ray_x + self.step * xy[..., 0]) * depth,
                (self.ray_y + self.step * xy[..., 1]) * depth,
                depth,
            ),
            axis=-1,
        )

    def from_space(self, points: ArrayLike) -> NDArray[np.float64]:
        """(..., 3) metres in the optical frame -> (..., 2) crop pixels."""
        p = np.asarray(points, dtype=np.float64)
        return np.stack(
            (
                (p[..., 0] / p[..., 2] - self.ray_x) / self.step,
                (p[..., 1] / p[..., 2] - self.ray_y) / self.step,
            ),
            axis=-1,
        )


def frame_around(centre: ArrayLike) -> CropFrame:
    """The crop frame centred on a point (3,) in metres, optical frame; its z is the reference."""
    x, y, z = (float(v) for v in np.asarray(centre, dtype=np.float64))
    if not z > 0:
        raise ValueError(f"a crop needs a centre in front of the camera, got z = {z}")
    step = METRES_PER_PIXEL / z
    return CropFrame(x / z - step * (WIDTH - 1) / 2, y / z - step * (HEIGHT - 1) / 2, step, z)


def cut(depth: NDArray[np.float32], camera: Camera, frame: CropFrame) -> NDArray[np.float32]:
    """Resample a depth image into a crop.

    Args:
        depth: (H, W) float32 metres, 0 or NaN where missing.
        camera: intrinsics of ``depth``.
        frame: from :func:`frame_around`.

    Returns:
        (HEIGHT, WIDTH) float32 in [-1, 1]: (z - z_ref) / DEPTH_RANGE, clipped; FAR where missing or
        outside the image.
    """
    # Nearest neighbour: interpolating across a depth edge would invent surfaces.
    to_image = np.array(
        (
            (camera.fx * frame.step, 0.0, camera.fx * frame.ray_x + camera.cx),
            (0.0, camera.fy * frame.step, camera.fy * frame.ray_y + camera.cy),
        )
    )
    z = cv2.warpAffine(
        depth,
        to_image,
        (WIDTH, HEIGHT),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0.0,
    )
    crop = np.clip((z - frame.z_ref) / DEPTH_RANGE, -1.0, FAR)
    crop[~(z > 0)] = FAR
    return crop.astype(np.float32)


def relative_millimetres(z: NDArray[np.float32], frame: CropFrame) -> NDArray[np.int16]:
    """Depth in metres (any shape, 0 or NaN missing) -> millimetres from z_ref, or MISSING."""
    with np.errstate(invalid="ignore"):
        offset = np.clip(np.round((z - frame.z_ref) * 1000), -30000, 30000)
        return np.where(z > 0, offset, MISSING).astype(np.int16)


def from_millimetres(relative: NDArray[np.int16]) -> NDArray[np.float32]:
    """The network's values, float32 in [-1, 1], from :func:`relative_millimetres`."""
    values = np.clip(relative.astype(np.float32) / (1000 * DEPTH_RANGE), -1.0, FAR)
    values[relative == MISSING] = FAR
    return values
