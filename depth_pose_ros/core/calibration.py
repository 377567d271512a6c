"""From a camera_info message to the camera of the rectified depth image.

Knows no ROS: it reads the message's fields by name (``sensor_msgs/CameraInfo``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera

_FISHEYE = "equidistant"
#: How many coefficients each distortion model may have.
_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), _FISHEYE: (4,)}


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
    """

    camera: Camera
    undistortion: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    ignored_distortion: bool

    def rectify(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) float32 metres of the image as it came -> the same, rectified; 0 outside it."""
        if self.undistortion is None:
            return depth
        # Nearest neighbour: interpolating across a depth edge invents surfaces that are not there.
        x, y = self.undistortion
        rectified = cv2.remap(depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(rectified, dtype=np.float32)


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
        info: the message.  ``binning`` and ``roi`` are applied as ``image_geometry`` does.
        width, height: the image's size in pixels.
        rectified: True for ``image_rect`` topics: P holds (K where P is empty) and D is ignored,
            though some drivers fill it (Kinect v2).  False for ``image_raw``: K and D hold.

    Raises:
        CalibrationError: another image size than camera_info's, or an unknown distortion model.
        CameraError: intrinsics that no working camera has, such as an all-zero K.
    """
    k = np.array(info.k, dtype=np.float64).reshape(3, 3)
    p = np.array(info.p, dtype=np.float64).reshape(3, 4)[:, :3]
    matrix = p if rectified and p[0, 0] != 0 else k
    matrix = _crop_and_bin(matrix, info, width, height)
    camera = Camera(
        fx=float(matrix[0, 0]),
        fy=float(matrix[1, 1]),
        cx=float(matrix[0, 2]),
        cy=float(matrix[1, 2]),
        width=width,
        height=height,
    )
    distorted = bool(np.any(np.array(info.d) != 0))
    undistortion = None
    if distorted and not rectified:
        undistortion = _undistortion(matrix, info, width, height)
    return Calibration(camera, undistortion, ignored_distortion=distorted and rectified)


def _crop_and_bin(
    matrix: NDArray[np.float64], info: CameraInfo, width: int, height: int
) -> NDArray[np.float64]:
    """(3, 3) intrinsics of the full sensor -> of the image that was cut out of it and binned."""
    binning = np.array((max(info.binning_x, 1), max(info.binning_y, 1)))
    region = np.array((info.roi.width or info.width, info.roi.height or info.height))
    expected_w, expected_h = (int(v) for v in region // binning)
    # A few drivers leave the size out; then the numbers can only mean the image itself.
    if (info.width, info.height) != (0, 0) and (expected_w, expected_h) != (width, height):
        raise CalibrationError(
            f"camera_info is for {expected_w} x {expected_h} pixels, the depth image has "
            f"{width} x {height}: remap depth/camera_info to the topic beside the depth image"
        )
    offset = (info.roi.x_offset, info.roi.y_offset)
    result = matrix.copy()
    result[:2, 2] -= offset
    result[:2] /= binning[:, np.newaxis]
    return result


def _undistortion(
    matrix: NDArray[np.float64], info: CameraInfo, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, W) source x and y for every pixel of the rectified image, which keeps ``matrix``."""
    d = np.array(info.d, dtype=np.float64)
    if d.size not in _COEFFICIENTS.get(info.distortion_model, ()) or not np.all(np.isfinite(d)):
        raise CalibrationError(
            f"camera_info has distortion of model '{info.distortion_model}' with D = "
            f"{d.tolist()}, which cannot be undone (known models: {', '.join(_COEFFICIENTS)}): "
            "use a rectified depth topic and set rectified to true"
        )
    undistort = (
        cv2.fisheye.initUndistortRectifyMap
        if info.distortion_model == _FISHEYE
        else cv2.initUndistortRectifyMap
    )
    x, y = undistort(matrix, d, np.eye(3), matrix, (width, height), cv2.CV_32FC1)
    return np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
