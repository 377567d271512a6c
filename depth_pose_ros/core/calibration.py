"""From a camera_info message to the camera of the rectified depth image.

Knows no ROS: it reads the message's fields by name (``sensor_msgs/CameraInfo``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.lens import LensError, read_lens

T = TypeVar("T", np.float32, np.uint16)
_MAX_SCALE = 8.0  # between the sizes of camera_info and image
_NO_P = "P is empty: K is used, as if rectification left it unchanged"
_NO_K = "K is empty: P is used, which is equal to it without distortion"


class CalibrationError(ValueError):
    """camera_info does not fit the image; the message says why and what to do."""


class RegionOfInterest(Protocol):
    """The fields of ``sensor_msgs/RegionOfInterest`` that are read."""

    x_offset: int
    y_offset: int
    width: int
    height: int


class CameraInfo(Protocol):
    """The fields of ``sensor_msgs/CameraInfo`` that are read."""

    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionOfInterest


@dataclass(frozen=True, eq=False)
class Calibration:
    """How to read an image: rectify it, then use ``camera``.

    Attributes:
        camera: intrinsics of the rectified image.
        undistortion: (H, W) float32 source x and y of every rectified pixel; None where the image
            needs no rectification.
        ignored_distortion: True where camera_info has distortion that was not applied because the
            image is said to be rectified.
        assumptions: what was assumed where camera_info contradicts itself or the image, as
            sentences for the user.
    """

    camera: Camera
    undistortion: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    ignored_distortion: bool
    assumptions: tuple[str, ...] = ()

    def rectify(self, depth: NDArray[T]) -> NDArray[T]:
        """(H, W) depths of the image as it came -> the same, rectified; 0 outside it."""
        if self.undistortion is None:
            return depth
        # Nearest neighbour: interpolating across a depth edge invents surfaces that are not there.
        x, y = self.undistortion
        rectified = cv2.remap(depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(rectified, dtype=depth.dtype)


def fingerprint(info: CameraInfo) -> tuple[object, ...]:
    """All that :func:`calibrate` reads of the message; equal where the calibration is."""
    roi = info.roi
    return (
        info.width,
        info.height,
        info.distortion_model,
        *(np.array(values, dtype=np.float64).tobytes() for values in (info.d, info.k, info.p)),
        info.binning_x,
        info.binning_y,
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def calibrate(info: CameraInfo, width: int, height: int, rectified: bool) -> Calibration:
    """The calibration of a depth image from its camera_info.

    Args:
        info: the message.  ``binning`` and ``roi`` are applied as ``image_geometry`` does, unless
            they contradict the size of the image.
        width, height: the image's size in pixels.
        rectified: True for ``image_rect`` topics: P holds (K where P is empty) and D is ignored,
            though some drivers fill it (Kinect v2).  False for ``image_raw``: K and D hold.

    Raises:
        CalibrationError: an image of another shape than camera_info's, or distortion that cannot
            be undone.
        CameraError: intrinsics that no working camera has, such as an all-zero K.
    """
    distorted = bool(np.any(np.array(info.d) != 0))
    matrix, from_p = _matrix(info, rectified, distorted)
    window, window_assumption = _window(info, width, height)
    matrix = window.applied_to(matrix)
    camera = Camera(
        fx=float(matrix[0, 0]),
        fy=float(matrix[1, 1]),
        cx=float(matrix[0, 2]),
        cy=float(matrix[1, 2]),
        width=width,
        height=height,
    )
    undistortion, lens_assumption = None, ""
    if distorted and not rectified:
        try:
            lens = read_lens(info.distortion_model, info.d)
        except LensError as error:
            raise CalibrationError(
                f"camera_info has distortion of model '{info.distortion_model}' with D = "
                f"{list(map(float, info.d))}, which cannot be undone ({error}): use a rectified "
                "depth topic and set rectified to true"
            ) from error
        if lens is not None:
            undistortion = lens.undistortion(matrix, width, height)
            lens_assumption = lens.assumption
    assumptions = tuple(filter(None, (from_p, window_assumption, lens_assumption)))
    return Calibration(camera, undistortion, distorted and rectified, assumptions)


def _matrix(info: CameraInfo, rectified: bool, distorted: bool) -> tuple[NDArray[np.float64], str]:
    """(3, 3) intrinsics of the full sensor, and what was assumed to find them."""
    k = np.array(info.k, dtype=np.float64).reshape(3, 3)
    p = np.array(info.p, dtype=np.float64).reshape(3, 4)[:, :3]
    if rectified and _is_usable(p):
        return p, ""
    if rectified and _is_usable(k):
        return k, _NO_P if distorted else ""
    if not rectified and not _is_usable(k) and _is_usable(p) and not distorted:
        return p, _NO_K
    return k, ""


def _is_usable(matrix: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0)


@dataclass(frozen=True)
class _Window:
    """Part of the sensor that an image shows: its offset and size, and the scale of the image."""

    x: int
    y: int
    width: int
    height: int
    scale_x: float = 1.0
    scale_y: float = 1.0

    def applied_to(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, 3) intrinsics of the full sensor -> of the image."""
        result = matrix.copy()
        result[:2, 2] -= (self.x, self.y)
        result[:2] *= np.array((self.scale_x, self.scale_y))[:, np.newaxis]
        return result


def _window(info: CameraInfo, width: int, height: int) -> tuple[_Window, str]:
    """What the image shows of the sensor, and what was assumed to find it."""
    roi, bins = info.roi, (max(info.binning_x, 1), max(info.binning_y, 1))
    is_cropped = any((roi.x_offset, roi.y_offset, roi.width, roi.height))
    # A few drivers leave the size out; then the numbers can only mean the image itself.
    has_size = info.width > 0 and info.height > 0
    full = _Window(0, 0, *((info.width, info.height) if has_size else (width, height)))
    crop = _Window(roi.x_offset, roi.y_offset, roi.width or full.width, roi.height or full.height)
    is_inside = crop.x + crop.width <= full.width and crop.y + crop.height <= full.height
    windows = [crop, full] if is_cropped and (is_inside or not has_size) else [full]
    for window in windows:
        for binning in dict.fromkeys((bins, (1, 1))):
            if not _fits(window, binning, width, height):
                continue
            ignored = ["roi"] if is_cropped and window != crop else []
            if binning != bins:
                ignored.append("binning")
            names = " and ".join(ignored)
            text = f"{names} of camera_info contradicts the size of the image and is ignored"
            scaled = replace(window, scale_x=1 / binning[0], scale_y=1 / binning[1])
            return scaled, text if ignored else ""
    for window in windows:
        scale = width / window.width
        same_shape = abs(window.height * scale - height) <= max(1.0, scale)
        if same_shape and 1 / _MAX_SCALE <= scale <= _MAX_SCALE:
            text = (
                f"camera_info is for {window.width} x {window.height} pixels and is scaled to the "
                f"{width} x {height} of the depth image"
            )
            return replace(window, scale_x=scale, scale_y=height / window.height), text
    expected_width, expected_height = windows[0].width // bins[0], windows[0].height // bins[1]
    raise CalibrationError(
        f"camera_info is for {expected_width} x {expected_height} pixels, the depth image has "
        f"{width} x {height}: remap depth/camera_info to the topic beside the depth image"
    )


def _fits(window: _Window, binning: tuple[int, int], width: int, height: int) -> bool:
    """Whether a window has the image's size once it is binned, rounded down or up."""
    pairs = ((window.width, binning[0], width), (window.height, binning[1], height))
    return all(size // n == v or -(-size // n) == v for size, n, v in pairs)
