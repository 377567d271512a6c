"""Pictures: skeletons over a depth image, and the 3-D skeletons from the side and from above.

Images are (H, W, 3) uint8, BGR as OpenCV has them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_pose_ros.core.skeleton import EDGES, INDEX, JOINTS

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

#: Colors of bones and joints, by the person's own side.
RIGHT: Color = (60, 120, 255)  # orange
LEFT: Color = (255, 190, 50)  # blue
MIDDLE: Color = (120, 235, 160)  # green
#: The color of missing depth.
MISSING: Color = (48, 34, 30)  # dark blue
#: Joints with a lower confidence, and their bones, are drawn thin and faint.
CONFIDENT = 0.5

_PAPER: Color = (30, 26, 24)
_GRID: Color = (62, 56, 52)
_INK: Color = (200, 200, 200)
_PERSON: tuple[Color, ...] = (
    (255, 255, 255),
    (110, 240, 255),
    (255, 140, 255),
    (150, 255, 150),
    (255, 220, 160),
    (140, 170, 255),
)
_GAMMA = 0.8
#: Coordinates beyond this many pixels overflow OpenCV's fixed-point drawing.
_FAR_OUTSIDE = 8000
_SHIFT = 3  # OpenCV's sub-pixel bits


class Person(NamedTuple):
    """One skeleton to draw.

    Attributes:
        joints: (19, 3) metres in the camera's optical frame; not finite where unknown.
        confidence: (19,) in [0, 1].
        id: chooses the color of the label; the label itself.
    """

    joints: NDArray[np.floating]
    confidence: NDArray[np.floating]
    id: int


class Bounds(NamedTuple):
    """A box in the camera's optical frame, metres: (x, y, z) of its two corners."""

    lowest: tuple[float, float, float]
    highest: tuple[float, float, float]


def colorize(depth: NDArray[np.float32], near: float, far: float) -> Image:
    """Depth as grey, light near and dark far, so that colored bones stand out.

    Args:
        depth: (H, W) metres; 0 or NaN where missing, which is drawn dark blue.
        near: metres, and everything nearer, drawn lightest.
        far: metres, and everything farther, drawn darkest.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    missing = ~(depth > 0)
    span = max(far - near, 1e-6)
    nearness = np.clip((far - np.where(missing, far, depth)) / span, 0.0, 1.0)
    # Few levels: a GIF of a noisy sensor's full range would be several times as large.
    levels = np.rint(nearness**_GAMMA * 24) / 24
    grey = (45 + 175 * levels).astype(np.uint8)
    image = np.asarray(np.repeat(grey[:, :, np.newaxis], 3, axis=2))
    image[missing] = MISSING
    return image


def side_color(joint: int) -> Color:
    """The color of a joint, and of the bone that ends in it: the person's left, right, middle."""
    name = JOINTS[joint]
    return RIGHT if name.startswith("Right") else LEFT if name.startswith("Left") else MIDDLE


def draw_skeleton(
    image: Image, pixels: ArrayLike, confidence: ArrayLike, person_id: int | None = None
) -> None:
    """Draw a skeleton into an image, in place.

    Args:
        image: (H, W, 3) uint8 BGR, changed.
        pixels: (19, 2) u, v in the image; joints that are not finite are left out.
        confidence: (19,) in [0, 1]; below :data:`CONFIDENT` drawn thin and faint.
        person_id: written beside the head where given.
    """
    points = np.asarray(pixels, dtype=np.float64)
    sure = np.asarray(confidence, dtype=np.float64) >= CONFIDENT
    known = np.asarray(np.isfinite(points).all(axis=1))
    points = np.clip(np.where(known[:, None], points, 0.0), -_FAR_OUTSIDE, _FAR_OUTSIDE)
    fixed = [(int(u), int(v)) for u, v in np.rint(points * 2**_SHIFT)]
    unit = max(1, round(min(image.shape[:2]) / 210))  # thickness that suits the image's size
    faint = image.copy()
    for layer, certain in ((faint, False), (image, True)):
        for parent, child in EDGES:
            if known[parent] and known[child] and (sure[parent] and sure[child]) == certain:
                thickness = unit + 1 if certain else unit
                ends, color = (fixed[parent], fixed[child]), side_color(child)
                cv2.line(layer, *ends, color, thickness, cv2.LINE_AA, _SHIFT)
        for joint in np.flatnonzero(known & (sure == certain)).tolist():
            radius = (unit + 1 if certain else unit) * 2**_SHIFT
            color = side_color(joint)
            cv2.circle(layer, fixed[joint], radius, color, -1, cv2.LINE_AA, _SHIFT)
        if not certain:
            cv2.addWeighted(faint, 0.55, image, 0.45, 0.0, dst=image)
    head = INDEX["Head"]
    if person_id is not None and known[head]:
        u, v = (int(c) for c in points[head])
        _write(image, str(person_id), (u + 6 * unit, v - 6 * unit), _PERSON[person_id % 6], 0.5)


def side_view(
    people: Sequence[Person],
    bounds: Bounds,
    points: NDArray[np.floating] | None = None,
    size: tuple[int, int] = (424, 300),
) -> Image:
    """The skeletons from the side (z to the right, y down) above the same from above.

    Both are parallel projections at one scale on a grid of half a metre, so lengths can be read
    and compared from frame to frame.  From above, x is to the right and the camera at the bottom.

    Args:
        people: skeletons in the camera's optical frame.
        bounds: what part of space is shown; the same for all frames of a film.
        points: (N, 3) metres, measured surface points drawn as dots, or None.
        size: height and width of the picture in pixels.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    height, width = size
    lengths = np.maximum(np.subtract(bounds.highest, bounds.lowest), 0.5)
    margin = 22
    scale = min(
        (width - 2 * margin) / max(lengths[0], lengths[2]),
        (height - 4 * margin) / (lengths[1] + lengths[2]),
    )
    upper = round((height - 4 * margin) * lengths[1] / (lengths[1] + lengths[2])) + 2 * margin
    side = _Plane("side", "z", "y", (2, 1), (1, 1), bounds, scale)
    above = _Plane("above", "x", "z", (0, 2), (1, -1), bounds, scale)
    panels = [
        _panel(plane, people, points, (panel_height, width))
        for plane, panel_height in ((side, upper), (above, height - upper))
    ]
    return np.vstack(panels)


def montage(images: Sequence[Image], columns: int, gap: int = 4) -> Image:
    """Images side by side in rows; smaller ones are padded below and to the right.

    Args:
        images: at least one, each (H, W, 3) uint8 BGR.
        columns: images in a row.
        gap: pixels between them.
    """
    cell_h, cell_w = (max(image.shape[axis] for image in images) for axis in (0, 1))
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    shape = (rows * (cell_h + gap) - gap, columns * (cell_w + gap) - gap, 3)
    sheet: Image = np.full(shape, _PAPER, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (cell_h + gap), (i % columns) * (cell_w + gap)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


class _Plane(NamedTuple):
    """A parallel projection: which axes go right and down, which way, at what scale."""

    title: str
    right: str
    down: str
    axes: tuple[int, int]
    signs: tuple[int, int]
    bounds: Bounds
    scale: float  # pixels a metre

    def pixels(self, points: ArrayLike, size: tuple[int, int]) -> NDArray[np.float64]:
        """(..., 3) metres -> (..., 2) pixels in a panel of ``size`` (height, width)."""
        axes, middle = list(self.axes), np.mean(self.bounds, axis=0)
        away = (np.asarray(points, dtype=np.float64) - middle)[..., axes] * self.signs
        return away * self.scale + (size[1] / 2, size[0] / 2)


def _panel(
    plane: _Plane,
    people: Sequence[Person],
    points: NDArray[np.floating] | None,
    size: tuple[int, int],
) -> Image:
    image: Image = np.full((*size, 3), _PAPER, dtype=np.uint8)
    _grid(image, plane)
    if points is not None and len(points):
        uv = np.rint(plane.pixels(points, size)).astype(int)
        inside = ((uv >= 0) & (uv < (size[1], size[0]))).all(axis=1)
        image[uv[inside, 1], uv[inside, 0]] = (105, 100, 96)
    for person in people:
        draw_skeleton(image, plane.pixels(person.joints, size), person.confidence, person.id)
    _write(image, plane.title, (6, 14), _INK, 0.42)
    return image


def _grid(image: Image, plane: _Plane) -> None:
    """Lines every half metre, numbers every metre."""
    height, width = size = image.shape[0], image.shape[1]
    middle = np.mean(plane.bounds, axis=0)
    for direction in (0, 1):
        axis, extent = plane.axes[direction], size[1 - direction]
        reach = extent / 2 / plane.scale
        first, last = np.ceil((middle[axis] - reach) * 2), np.floor((middle[axis] + reach) * 2)
        for half_metres in np.arange(first, last + 1):
            point = middle.copy()
            point[axis] = half_metres / 2
            at = round(float(plane.pixels(point, size)[direction]))
            start, end = ((at, 0), (at, height)) if direction == 0 else ((0, at), (width, at))
            cv2.line(image, start, end, _GRID, 1)
            if half_metres % 2 == 0:
                text = f"{plane.right if direction == 0 else plane.down}={half_metres / 2:g}m"
                place = (at + 2, height - 4) if direction == 0 else (width - 48, at - 2)
                _write(image, text, place, (130, 124, 120), 0.34)


def _write(image: Image, text: str, place: tuple[int, int], color: Color, scale: float) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(image, text, place, font, scale, (20, 18, 16), 3, cv2.LINE_AA)
    cv2.putText(image, text, place, font, scale, color, 1, cv2.LINE_AA)
