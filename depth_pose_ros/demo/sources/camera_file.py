"""Camera intrinsics from a YAML file in the short form or in ROS's calibration format."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from depth_pose_ros.core.camera import Camera, CameraError
from depth_pose_ros.demo.sources.base import DEFAULT_FPS, SourceError

_HELP = (
    "Write `fx`, `fy`, `cx`, `cy`, `width`, `height` (pixels) and, if known, `fps`, "
    "or a ROS camera calibration file with `image_width`, `image_height`, `camera_matrix`"
)


class CameraFile(NamedTuple):
    """Intrinsics, and the playback rate in Hz."""

    camera: Camera
    fps: float


def read_camera_file(path: Path) -> CameraFile:
    """Read intrinsics.

    The short form has the keys fx, fy, cx, cy, width, height, optional fps and optional unit,
    which must be mm.  The ROS form is that of ``camera_calibration_parsers``: image_width,
    image_height and projection_matrix.data or camera_matrix.data, row major.  The images are
    assumed to be rectified, so the projection matrix is preferred.

    Raises:
        SourceError: the file is missing, not YAML, incomplete, or defines an invalid camera.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"cannot read the camera file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"the camera file {path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"the camera file {path} has no keys. {_HELP}")
    try:
        fields = _ros_form(content) if "image_width" in content else content
        unit = fields.get("unit", "mm")
        if unit != "mm":
            raise SourceError(f"{path}: depth unit {unit!r} is not supported, only mm")
        camera = Camera(
            fx=float(fields["fx"]),
            fy=float(fields["fy"]),
            cx=float(fields["cx"]),
            cy=float(fields["cy"]),
            width=int(fields["width"]),
            height=int(fields["height"]),
        )
        fps = float(fields.get("fps", DEFAULT_FPS))
    except KeyError as error:
        raise SourceError(f"the camera file {path} has no key {error}. {_HELP}") from error
    except CameraError as error:
        raise SourceError(f"the camera file {path}: {error}") from error
    except (TypeError, ValueError, IndexError) as error:
        raise SourceError(
            f"the camera file {path} has an invalid value: {error}. {_HELP}"
        ) from error
    if not 0.0 < fps <= 1000.0:
        raise SourceError(f"the camera file {path}: fps must be within (0, 1000], got {fps}")
    return CameraFile(camera, fps)


def _ros_form(content: dict[str, Any]) -> dict[str, Any]:
    matrix = content["projection_matrix" if "projection_matrix" in content else "camera_matrix"]
    data, columns = matrix["data"], 4 if len(matrix["data"]) == 12 else 3
    return {
        "fx": data[0],
        "cx": data[2],
        "fy": data[columns + 1],
        "cy": data[columns + 2],
        "width": content["image_width"],
        "height": content["image_height"],
        **{key: content[key] for key in ("fps", "unit") if key in content},
    }
