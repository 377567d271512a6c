"""The demo's pictures: depth with skeletons beside the 3-D view, still and moving."""

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
from depth_pose_ros.demo.film import Shot

STILLS = 6  #: pictures left behind
ANIMATION = "skeletons.gif"
#: Height of the pictures; small images are enlarged to it, large ones reduced.
HEIGHT = 424
_ANIMATION_SCALE = 0.72
_ANIMATION_GREYS = 32
_NO_DITHER: Any = 0  # Image.Dither.NONE, but Ubuntu 22.04's Pillow knows only the number
#: No frame of the animation stands longer, in ms: a long recording is shown in fast motion.
_LONGEST_FRAME = 200
#: Surface points farther than this from every joint, in metres, are not the person's.
_NEAR_JOINT = 0.25
_POINT_STEP = 3
_DEFAULT_BOUNDS = Bounds((-1.5, -1.2, 1.0), (1.5, 1.2, 4.0))


class View(NamedTuple):
    """What all pictures of a recording have in common, so that a film does not jump.

    Attributes:
        near, far: metres, the ends of the depth image's grey scale.
        bounds: what the 3-D view shows.
    """

    near: float
    far: float
    bounds: Bounds


def write_pictures(folder: Path, shots: Sequence[Shot], camera: Camera) -> list[Path]:
    """Write :data:`STILLS` pictures ``frame_000N.png`` and :data:`ANIMATION`.

    Args:
        folder: where to; it exists.
        shots: in order of time.
        camera: the depth images' intrinsics.

    Returns:
        The files, stills first; none where there are no shots.
    """
    if not shots:
        return []
    view = common_view(shots)
    # Those with the most people first, if some are empty: they are what there is to see.
    crowd = max(len(shot.people) for shot in shots)
    worth = [shot for shot in shots if len(shot.people) == crowd]
    chosen = np.unique(np.linspace(0, len(worth) - 1, STILLS).round().astype(int))
    files = []
    for number, i in enumerate(chosen.tolist(), start=1):
        files.append(folder / f"frame_{number:04d}.png")
        cv2.imwrite(str(files[-1]), picture(worth[i], camera, view))
    files.append(folder / ANIMATION)
    _write_animation(files[-1], shots, camera, view)
    return files


def picture(shot: Shot, camera: Camera, view: View) -> Image:
    """One shot: skeletons over the depth image, beside it the same in 3-D.

    Returns:
        (HEIGHT, W, 3) uint8 BGR.
    """
    metres = shot.depth.astype(np.float32) * np.float32(1e-3)
    scale = HEIGHT / camera.height
    width = round(camera.width * scale)
    image = cv2.resize(
        colorize(metres, view.near, view.far), (width, HEIGHT), interpolation=cv2.INTER_NEAREST
    )
    left: Image = np.asarray(image, dtype=np.uint8)
    for person in shot.people:
        # Pixel (0, 0) is a pixel's centre, so scaling an image moves it by half a pixel.
        pixels = (camera.project(person.joints) + 0.5) * scale - 0.5
        draw_skeleton(left, pixels, person.confidence, person.id)
    points = _surface(metres, camera, shot)
    return np.hstack((left, side_view(shot.people, view.bounds, points, (HEIGHT, 320))))


def common_view(shots: Sequence[Shot]) -> View:
    """Grey scale and bounds that suit all shots."""
    some = [shot.depth[::4, ::4] for shot in shots[:: max(1, len(shots) // 8)]]
    valid = np.concatenate([depth[depth > 0] for depth in some])
    near, far = np.percentile(valid, (1, 99)) * 1e-3 if len(valid) else (0.5, 4.0)
    joints = [person.joints for shot in shots for person in shot.people]
    points = np.concatenate(joints) if joints else np.empty((0, 3))
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return View(float(near), float(far), _DEFAULT_BOUNDS)
    # A single joint gone astray must not shrink everybody.
    low, high = np.percentile(points, (1, 99), axis=0) + np.array(((-0.25,), (0.25,)))
    low, high = np.floor(low * 4) / 4, np.ceil(high * 4) / 4
    bounds = Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    return View(float(near), float(far), bounds)


def _surface(metres: NDArray[np.float32], camera: Camera, shot: Shot) -> NDArray[np.float64]:
    """(N, 3) measured points near the people, in the camera's optical frame."""
    step = max(1, round(_POINT_STEP * camera.height / HEIGHT))
    v, u = np.mgrid[0 : metres.shape[0] : step, 0 : metres.shape[1] : step]
    depth = metres[::step, ::step]
    points = camera.back_project(np.stack((u, v), axis=-1)[depth > 0], depth[depth > 0])
    near = np.zeros(len(points), dtype=bool)
    for person in shot.people:
        for joint in person.joints[np.isfinite(person.joints).all(axis=1)]:
            near |= np.square(points - joint).sum(axis=1) < _NEAR_JOINT**2
    return points[near]


def _write_animation(path: Path, shots: Sequence[Shot], camera: Camera, view: View) -> None:
    frames = []
    for shot in shots:
        full = picture(shot, camera, view)
        size = (round(full.shape[1] * _ANIMATION_SCALE), round(HEIGHT * _ANIMATION_SCALE))
        small = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        frames.append(PillowImage.fromarray(np.ascontiguousarray(small[:, :, ::-1])))
    palette = _palette()
    flat = [frame.quantize(palette=palette, dither=_NO_DITHER) for frame in frames]
    gaps = np.diff([shot.stamp for shot in shots]) * 1e-6
    durations = np.clip(np.append(gaps, gaps[-1] if len(gaps) else 1000), 20, _LONGEST_FRAME)
    flat[0].save(
        path,
        save_all=True,
        append_images=flat[1:],
        duration=[round(d) for d in durations.tolist()],
        loop=0,
        optimize=False,
    )


def _palette() -> PillowImage.Image:
    """The animation's colors: greys for the depth, the bones', and those in between at edges.

    One chosen by a picture's content would spend all on the depth, and flicker.
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
