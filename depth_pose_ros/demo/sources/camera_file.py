"""Camera intrinsics from a YAML file: the short form, ROS's calibration format, a message."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from depth_pose_ros.core.calibration import (
    Calibration,
    CalibrationError,
    RegionOfInterest,
    calibrate,
)
from depth_pose_ros.core.camera import Camera, CameraError
from depth_pose_ros.demo.sources.base import DEFAULT_FPS, SourceError

_HELP = (
    "Write `fx`, `fy`, `cx`, `cy`, `width`, `height` (pixels) and, if known, `fps`, "
    "or a ROS camera calibration file with `image_width`, `image_height`, `camera_matrix`, "
    "or the output of `ros2 topic echo --once` of a camera_info topic"
)
_EMPTY_P = (0.0,) * 12


@dataclass
class _Roi:
    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0


@dataclass
class _Info:
    """The fields of ``sensor_msgs/CameraInfo`` that :func:`calibrate` reads."""

    width: int
    height: int
    k: Sequence[float]
    p: Sequence[float] = _EMPTY_P
    distortion_model: str = ""
    d: Sequence[float] = ()
    binning_x: int = 0
    binning_y: int = 0
    roi: RegionOfInterest = field(default_factory=_Roi)


@dataclass(frozen=True)
class CameraFile:
    """A camera's calibration, and the playback rate in Hz.

    Attributes:
        path: of the file.
        info: its content as a camera_info.
        rectified: whether the images are rectified.
        fps: playback rate.
    """

    path: Path
    info: _Info
    rectified: bool
    fps: float

    @property
    def camera(self) -> Camera:
        """Intrinsics of images of the size in the file."""
        return self.calibration(self.info.width, self.info.height).camera

    def calibration(self, width: int, height: int) -> Calibration:
        """Calibration of images of a size, by the rules that hold for camera_info.

        Raises:
            SourceError: the file does not fit such images.
        """
        try:
            calibration = calibrate(self.info, width, height, self.rectified)
        except CameraError as error:
            raise SourceError(f"the camera file {self.path}: {error}") from error
        except CalibrationError as error:
            raise SourceError(
                f"images of {width} x {height} pixels do not fit the camera file {self.path}: "
                f"{error}"
            ) from error
        for assumption in calibration.assumptions:
            logging.getLogger(__name__).warning("%s: %s", self.path, assumption)
        return calibration


def read_camera_file(path: Path) -> CameraFile:
    """Read a calibration.

    The short form has the keys fx, fy, cx, cy, width, height.  The ROS form is that of
    ``camera_calibration_parsers``: image_width, image_height, camera_matrix.data, row major, and
    optionally projection_matrix, distortion_model and distortion_coefficients.  The third form is
    a ``sensor_msgs/CameraInfo`` as ``ros2 topic echo`` (or ROS 1's ``rostopic echo``) prints it.
    All may have fps, unit, which must be mm, and rectified: if true, the default, the projection
    matrix is used and the distortion ignored, as with ``image_rect`` topics.

    Raises:
        SourceError: the file is missing, not YAML, incomplete, or defines an invalid camera.
    """
    try:
        content = _first_document(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SourceError(f"cannot read the camera file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"the camera file {path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"the camera file {path} has no keys. {_HELP}")
    if content.get("unit", "mm") != "mm":
        raise SourceError(f"{path}: depth unit {content['unit']!r} is not supported, only mm")
    try:
        info = _info(content)
        fps = float(content.get("fps", DEFAULT_FPS))
    except KeyError as error:
        raise SourceError(f"the camera file {path} has no key {error}. {_HELP}") from error
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise SourceError(
            f"the camera file {path} has an invalid value: {error}. {_HELP}"
        ) from error
    if not 0.0 < fps <= 1000.0:
        raise SourceError(f"the camera file {path}: fps must be within (0, 1000], got {fps}")
    return CameraFile(path, info, bool(content.get("rectified", True)), fps)


def _first_document(text: str) -> Any:
    """The content; `ros2 topic echo` ends a message with --- and may print warnings before it."""
    header = re.search(r"^header:", text, re.MULTILINE)
    return next(iter(yaml.safe_load_all(text[header.start() :] if header else text)), None)


def _info(content: dict[str, Any]) -> _Info:
    if "image_width" in content:
        return _Info(
            width=int(content["image_width"]),
            height=int(content["image_height"]),
            k=_numbers(content["camera_matrix"]["data"], 9),
            p=_projection(content["projection_matrix"]["data"])
            if "projection_matrix" in content
            else _EMPTY_P,
            distortion_model=str(content.get("distortion_model") or ""),
            d=_numbers((content.get("distortion_coefficients") or {}).get("data") or []),
        )
    message = {key.lower(): value for key, value in content.items() if isinstance(key, str)}
    if "k" in message:  # upper case in ROS 1
        roi = message.get("roi") or {}
        return _Info(
            width=int(message["width"]),
            height=int(message["height"]),
            k=_numbers(message["k"], 9),
            p=_numbers(message.get("p") or _EMPTY_P, 12),
            distortion_model=str(message.get("distortion_model") or ""),
            d=_numbers(message.get("d") or []),
            binning_x=int(message.get("binning_x", 0)),
            binning_y=int(message.get("binning_y", 0)),
            roi=_Roi(*(int(roi.get(n, 0)) for n in ("x_offset", "y_offset", "width", "height"))),
        )
    fx, fy, cx, cy = (float(content[key]) for key in ("fx", "fy", "cx", "cy"))
    return _Info(
        width=int(content["width"]),
        height=int(content["height"]),
        k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
    )


def _numbers(values: Any, count: int | None = None) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    if count is not None and len(numbers) != count:
        raise ValueError(f"{count} numbers expected, got {len(numbers)}")
    return numbers


def _projection(values: Any) -> tuple[float, ...]:
    """(3, 4) row major, also from a (3, 3) matrix."""
    if len(values) == 9:
        values = [*values[0:3], 0, *values[3:6], 0, *values[6:9], 0]
    return _numbers(values, 12)
