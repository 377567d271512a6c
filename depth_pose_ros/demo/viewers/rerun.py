"""Recording for the Rerun viewer, on the desktop or in a browser: https://rerun.io."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.drawing import CONFIDENT, Person, side_color
from depth_pose_ros.core.skeleton import EDGES, JOINTS, NUM_JOINTS
from depth_pose_ros.demo.recording import RecordedFrame

RECORDING = "skeletons.rrd"
_JOINT_RADIUS, _BONE_RADIUS = 0.025, 0.01  # metres
_MIN_OPACITY = 60  # of 255, the opacity at confidence 0
#: Small points keep the joints, which are inside the body, visible.
_POINT_FILL = 0.3
_BACKGROUND = (24, 26, 32)  # RGB
_EYE, _LOOK_AT = (2.2, -1.0, -0.6), (0.0, 0.2, 3.0)  # metres, camera frame
_COLORS = [side_color(joint)[::-1] for joint in range(NUM_JOINTS)]  # RGB


class RerunNotInstalled(Exception):
    """The optional package rerun-sdk is not installed."""


def import_rerun() -> ModuleType:
    """Import the optional package rerun.

    Raises:
        RerunNotInstalled: it is not installed.
    """
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        raise RerunNotInstalled(
            "VIEW=rerun requires the package rerun-sdk: .venv/bin/pip install rerun-sdk"
        ) from error


def write_recording(folder: Path, frames: Sequence[RecordedFrame], camera: Camera) -> Path:
    """Write :data:`RECORDING`: depth as a point cloud, joints and bones of all people.

    Args:
        folder: existing output folder.
        frames: in temporal order.
        camera: the depth images' intrinsics.

    Raises:
        RerunNotInstalled: rerun-sdk is not installed.
    """
    rr = import_rerun()
    path = folder / RECORDING
    with rr.RecordingStream("depth_pose_ros") as stream:
        stream.save(path, default_blueprint=_blueprint())
        stream.log("/", rr.ViewCoordinates.RDF, static=True)
        stream.log(
            "camera",
            rr.Pinhole(
                focal_length=(camera.fx, camera.fy),
                principal_point=(camera.cx, camera.cy),
                resolution=(camera.width, camera.height),
                camera_xyz=rr.ViewCoordinates.RDF,
            ),
            static=True,
        )
        for frame in frames:
            stream.set_time("stamp", timestamp=np.datetime64(frame.stamp, "ns"))
            image = rr.DepthImage(
                frame.depth, meter=1000.0, colormap="grayscale", point_fill_ratio=_POINT_FILL
            )
            stream.log("camera/depth", image)
            # Entities persist in Rerun until they are cleared.
            stream.log("people", rr.Clear(recursive=True))
            for person in frame.people:
                _log_person(rr, stream, person)
        stream.flush()
    return path


def _blueprint() -> Any:
    """Make the layout: a 3-D view from the side and the camera image."""
    views = importlib.import_module("rerun.blueprint")
    eye = views.EyeControls3D(position=_EYE, look_target=_LOOK_AT, eye_up=(0.0, -1.0, 0.0))
    entities = ["camera/**", "people/**"]
    return views.Blueprint(
        views.Horizontal(
            views.Spatial3DView(
                name="Room",
                origin="/",
                contents=entities,
                background=_BACKGROUND,
                line_grid=False,
                eye_controls=eye,
            ),
            views.Spatial2DView(name="Camera", origin="camera", contents=entities),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )


def _log_person(rr: ModuleType, stream: Any, person: Person) -> None:
    known = np.flatnonzero(np.isfinite(person.joints).all(axis=1)).tolist()
    opacity = _MIN_OPACITY + (255 - _MIN_OPACITY) * np.clip(person.confidence, 0.0, 1.0)
    colors = [(*_COLORS[joint], round(float(opacity[joint]))) for joint in range(NUM_JOINTS)]
    stream.log(
        f"people/{person.id}/joints",
        rr.Points3D(
            person.joints[known],
            radii=_JOINT_RADIUS,
            colors=[colors[joint] for joint in known],
            labels=[f"{JOINTS[joint]} {person.confidence[joint]:.0%}" for joint in known],
            show_labels=False,
        ),
    )
    bones = [
        (a, b)
        for a, b in EDGES
        if a in known and b in known and min(person.confidence[[a, b]]) >= CONFIDENT
    ]
    stream.log(
        f"people/{person.id}/bones",
        rr.LineStrips3D(
            [person.joints[[a, b]] for a, b in bones],
            radii=_BONE_RADIUS,
            colors=[colors[b] for _, b in bones],
        ),
    )
