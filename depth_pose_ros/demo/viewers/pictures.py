"""Still pictures and an animation: skeletons on the depth image, beside the 3-D view."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.drawing import (
    LEFT,
    MIDDLE,
    MISSING,
    RIGHT,
    Bounds,
    Image,
    colorize,
    draw_skeleton,
    side_view,
)
from depth_pose_ros.demo.recording import RecordedFrame

STILLS = 6  #: number of still pictures
ANIMATION = "skeletons.gif"
#: Height of the pictures in pixels; depth images are scaled to it.
HEIGHT = 424
_ANIMATION_SCALE = 0.72
_ANIMATION_GREYS = 32
_NO_DITHER: Any = 0  # Image.Dither.NONE is missing in Ubuntu 22.04's Pillow
#: Maximum duration of a frame of the animation, ms; long recordings are played faster.
_MAX_FRAME_DURATION = 200
#: Metres: surface points within this distance of a joint are drawn.
_MAX_JOINT_DISTANCE = 0.25
_POINT_STEP = 3
_DEFAULT_BOUNDS = Bounds((-1.5, -1.2, 1.0), (1.5, 1.2, 4.0))


class View(NamedTuple):
    """Parameters shared by all pictures of a recording.

    Attributes:
        near, far: metres, limits of the depth image's gray scale.
        bounds: the volume of the 3-D view.
    """

    near: float
    far: float
    bounds: Bounds


def write_pictures(folder: Path, frames: Sequence[RecordedFrame], camera: Camera) -> list[Path]:
    """Write :data:`STILLS` pictures ``frame_000N.png`` and :data:`ANIMATION`.

    Args:
        folder: existing output folder.
        frames: in temporal order.
        camera: the depth images' intrinsics.

    Returns:
        The files, stills first; empty without frames.
    """
    if not frames:
        return []
    view = view_of(frames)
    # Stills are chosen from the frames with the largest number of people.
    max_people = max(len(frame.people) for frame in frames)
    candidates = [frame for frame in frames if len(frame.people) == max_people]
    chosen = np.unique(np.linspace(0, len(candidates) - 1, STILLS).round().astype(int))
    files = []
    for number, i in enumerate(chosen.tolist(), start=1):
        files.append(folder / f"frame_{number:04d}.png")
        cv2.imwrite(str(files[-1]), render(candidates[i], camera, view))
    files.append(folder / ANIMATION)
    _write_animation(files[-1], frames, camera, view)
    return files


def render(frame: RecordedFrame, camera: Camera, view: View) -> Image:
    """Draw the skeletons on the depth image, with the 3-D view to the right.

    Returns:
        (HEIGHT, W, 3) uint8 BGR.
    """
    metres = frame.depth.astype(np.float32) * np.float32(1e-3)
    scale = HEIGHT / camera.height
    width = round(camera.width * scale)
    image = cv2.resize(
        colorize(metres, view.near, view.far), (width, HEIGHT), interpolation=cv2.INTER_NEAREST
    )
    left: Image = np.asarray(image, dtype=np.uint8)
    for person in frame.people:
        # Pixel coordinates refer to pixel centers: scaling needs an offset of half a pixel.
        pixels = (camera.project(person.joints) + 0.5) * scale - 0.5
        draw_skeleton(left, pixels, person.confidence, person.id)
    points = _surface(metres, camera, frame)
    return np.hstack((left, side_view(frame.people, view.bounds, points, (HEIGHT, 320))))


def view_of(frames: Sequence[RecordedFrame]) -> View:
    """Compute gray scale and bounds for all frames."""
    samples = [frame.depth[::4, ::4] for frame in frames[:: max(1, len(frames) // 8)]]
    valid = np.concatenate([depth[depth > 0] for depth in samples])
    near, far = np.percentile(valid, (1, 99)) * 1e-3 if len(valid) else (0.5, 4.0)
    joints = [person.joints for frame in frames for person in frame.people]
    points = np.concatenate(joints) if joints else np.empty((0, 3))
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return View(float(near), float(far), _DEFAULT_BOUNDS)
    # Percentiles, so that an outlier does not enlarge the volume.
    low, high = np.percentile(points, (1, 99), axis=0) + np.array(((-0.25,), (0.25,)))
    low, high = np.floor(low * 4) / 4, np.ceil(high * 4) / 4
    bounds = Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    return View(float(near), float(far), bounds)


def _surface(
    metres: NDArray[np.float32], camera: Camera, frame: RecordedFrame
) -> NDArray[np.float64]:
    """Surface points near joints: (N, 3) metres in the camera's optical frame."""
    step = max(1, round(_POINT_STEP * camera.height / HEIGHT))
    v, u = np.mgrid[0 : metres.shape[0] : step, 0 : metres.shape[1] : step]
    depth = metres[::step, ::step]
    points = camera.back_project(np.stack((u, v), axis=-1)[depth > 0], depth[depth > 0])
    near = np.zeros(len(points), dtype=bool)
    for person in frame.people:
        for joint in person.joints[np.isfinite(person.joints).all(axis=1)]:
            near |= np.square(points - joint).sum(axis=1) < _MAX_JOINT_DISTANCE**2
    return points[near]


def _write_animation(
    path: Path, frames: Sequence[RecordedFrame], camera: Camera, view: View
) -> None:
    images = []
    for frame in frames:
        full = render(frame, camera, view)
        size = (round(full.shape[1] * _ANIMATION_SCALE), round(HEIGHT * _ANIMATION_SCALE))
        small = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        images.append(PillowImage.fromarray(np.ascontiguousarray(small[:, :, ::-1])))
    palette = _palette()
    flat = [image.quantize(palette=palette, dither=_NO_DITHER) for image in images]
    gaps = np.diff([frame.stamp for frame in frames]) * 1e-6
    durations = np.clip(np.append(gaps, gaps[-1] if len(gaps) else 1000), 20, _MAX_FRAME_DURATION)
    flat[0].save(
        path,
        save_all=True,
        append_images=flat[1:],
        duration=[round(d) for d in durations.tolist()],
        loop=0,
        optimize=False,
    )


def _palette() -> PillowImage.Image:
    """Make the fixed palette: grays, bone colors and their blends for antialiased edges.

    An adaptive palette would use all its colors for the depth image, and flicker.
    """
    colors = [(grey,) * 3 for grey in np.linspace(20, 225, _ANIMATION_GREYS).astype(int).tolist()]
    colors.append(MISSING)
    for side in (RIGHT, LEFT, MIDDLE):
        for grey in (30, 110, 200):
            mixes = [np.array(side) * share + grey * (1 - share) for share in (0.35, 0.7)]
            colors += [(round(b), round(g), round(r)) for b, g, r in (m.tolist() for m in mixes)]
        colors.append(side)
    image = PillowImage.new("P", (1, 1))
    image.putpalette([channel for color in colors for channel in reversed(color)])
    return image
