"""The demo's recording for Rerun's viewer, on the desktop or in a browser: https://rerun.io."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.drawing import CONFIDENT, Person, side_color
from depth_pose_ros.core.skeleton import EDGES, JOINTS, NUM_JOINTS
from depth_pose_ros.demo.film import Shot

RECORDING = "skeletons.rrd"
_JOINT_RADIUS, _BONE_RADIUS = 0.025, 0.01  # metres
_FAINTEST = 60  # of 255, the opacity at confidence 0
#: Joints lie inside the body: thin points in grey let them be seen through its surface.
_POINT_FILL = 0.3
_BACKGROUND = (24, 26, 32)  # RGB
_EYE, _LOOK_AT = (2.2, -1.0, -0.6), (0.0, 0.2, 3.0)  # metres in the camera's frame: beside it
_COLORS = [side_color(joint)[::-1] for joint in range(NUM_JOINTS)]  # RGB


class NoRerun(Exception):
    """rerun-sdk is not installed; the message says how it is."""


def rerun() -> ModuleType:
    """The package, which is optional.

    Raises:
        NoRerun: it is not there.
    """
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        raise NoRerun(
            "VIEW=rerun needs the package rerun-sdk: .venv/bin/pip install rerun-sdk"
        ) from error


def write_recording(folder: Path, shots: Sequence[Shot], camera: Camera) -> Path:
    """Write :data:`RECORDING`: depth as a cloud in space, joints and bones of everybody.

    Args:
        folder: where to; it exists.
        shots: in order of time.
        camera: the depth images' intrinsics.

    Raises:
        NoRerun: rerun-sdk is not installed.
    """
    rr = rerun()
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
        for shot in shots:
            stream.set_time("stamp", timestamp=np.datetime64(shot.stamp, "ns"))
            image = rr.DepthImage(
                shot.depth, meter=1000.0, colormap="grayscale", point_fill_ratio=_POINT_FILL
            )
            stream.log("camera/depth", image)
            # Whoever is not seen any more would stand there for ever.
            stream.log("people", rr.Clear(recursive=True))
            for person in shot.people:
                _log_person(rr, stream, person)
        stream.flush()
    return path


def _blueprint() -> Any:
    """What the viewer shows at first: the room from beside the camera, and the camera's image."""
    views = importlib.import_module("rerun.blueprint")
    eye = views.EyeControls3D(position=_EYE, look_target=_LOOK_AT, eye_up=(0.0, -1.0, 0.0))
    everything = ["camera/**", "people/**"]
    return views.Blueprint(
        views.Horizontal(
            views.Spatial3DView(
                name="Room",
                origin="/",
                contents=everything,
                background=_BACKGROUND,
                line_grid=False,
                eye_controls=eye,
            ),
            views.Spatial2DView(name="Camera", origin="camera", contents=everything),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )


def _log_person(rr: ModuleType, stream: Any, person: Person) -> None:
    known = np.flatnonzero(np.isfinite(person.joints).all(axis=1)).tolist()
    opacity = _FAINTEST + (255 - _FAINTEST) * np.clip(person.confidence, 0.0, 1.0)
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
