"""Pictures of frames: depth, the truth and the estimate."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import EDGES, PARENTS
from depth_pose_training.data.datasets.base import LabelledFrame, LabelledFrames
from depth_pose_training.evaluation.predictions import Predictions

TRUTH = (80, 220, 80)  #: BGR, green
ESTIMATE = (60, 60, 255)  #: BGR, red
MATCHED = (255, 255, 255)  #: BGR, white
FALSE_POSITIVE = (60, 60, 255)  #: BGR, red
DUPLICATE = (0, 160, 255)  #: BGR, orange
Color = tuple[int, int, int]
_MIN_HEIGHT = 720
_BACKGROUND = 40


def worst(errors: NDArray[np.float64], count: int) -> list[int]:
    """Rows of (N, 19) errors with the largest mean over known, estimated joints, worst first.

    Rows without such a joint (missed people) are left out.
    """
    finite = np.isfinite(errors)
    ranked = np.flatnonzero(finite.any(1))
    means = np.where(finite, errors, 0.0).sum(1)[ranked] / finite.sum(1)[ranked]
    return [int(i) for i in ranked[np.argsort(-means, kind="stable")][:count]]


def overlay(
    frame: LabelledFrame,
    skeletons: Sequence[tuple[NDArray[np.float64], Color]],
    texts: Sequence[tuple[str, Color]],
) -> MatLike:
    """Skeletons over depth in grey (near is bright).

    Args:
        frame: the depth image.
        skeletons: (19, 2) pixels, NaN where unknown, and color of each.
        texts: lines of text and their colors.

    Returns:
        (H, W, 3) uint8 BGR, enlarged by a whole factor to at least 720 rows.
    """
    scale = max(1, -(-_MIN_HEIGHT // frame.camera.height))
    image = cv2.cvtColor(_grey(frame.depth), cv2.COLOR_GRAY2BGR)
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    for pixels, color in skeletons:
        _skeleton(image, np.asarray(pixels, dtype=np.float64) * scale + (scale - 1) / 2, color)
    for row, (text, color) in enumerate(texts):
        cv2.putText(image, text, (8, 24 + 22 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, 1)
    return image


def draw(frame: LabelledFrame, pixels: NDArray[np.float64], caption: str) -> MatLike:
    """Depth in grey (near is bright), truth in green and estimate in red, with legend.

    Args:
        frame: the depth image and its truth.
        pixels: (19, 2) estimate in the image, NaN if the person was missed.
        caption: a line of text.

    Returns:
        (H, W, 3) uint8 BGR, enlarged to at least 720 rows.
    """
    texts = ((caption, (255, 255, 255)), ("truth", TRUTH), ("estimate", ESTIMATE))
    return overlay(frame, ((frame.target.pixels, TRUTH), (pixels, ESTIMATE)), texts)


def side_by_side(frame: LabelledFrame, pixels: NDArray[np.float64], caption: str) -> MatLike:
    """The truth on the left, the estimate on the right, of a cut-out around both.

    Args:
        frame: the depth image and its truth.
        pixels: (19, 2) estimate in the image, NaN if the person was missed.
        caption: a line of text.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    estimate = np.asarray(pixels, dtype=np.float64)
    points = np.concatenate((frame.target.pixels, estimate))
    points = points[np.isfinite(points).all(-1)]
    h, w = frame.depth.shape
    if len(points):
        middle = (points.min(0) + points.max(0)) / 2
        reach = max(0.65 * float(np.ptp(points, axis=0).max()), 20.0)
        x0, y0 = np.clip(middle - reach, 0, (w - 2, h - 2)).astype(int)
        x1, y1 = np.clip(middle + reach, (x0 + 2, y0 + 2), (w, h)).astype(int)
    else:
        x0, y0, x1, y1 = 0, 0, w, h
    scale = max(1.0, _MIN_HEIGHT / 1.5 / (y1 - y0))
    grey = cv2.cvtColor(_grey(frame.depth[y0:y1, x0:x1]), cv2.COLOR_GRAY2BGR)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    images = []
    for points, color, name in (
        (frame.target.pixels, TRUTH, "truth"),
        (estimate, ESTIMATE, "estimate"),
    ):
        image = grey.copy()
        _skeleton(image, (points - (x0, y0) + 0.5) * scale - 0.5, color)
        cv2.putText(image, name, (8, 44), cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, 1)
        images.append(image)
    both = np.concatenate(images, axis=1)
    cv2.putText(both, caption, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    return both


def write_pictures(
    folder: Path,
    frames: LabelledFrames,
    indices: list[int],
    predictions: Predictions,
    rows: list[int],
    label: str,
) -> list[Path]:
    """Write PNGs ``label_00_key.png`` of chosen rows of the predictions, truth beside estimate.

    Args:
        folder: output folder; created.
        frames: the dataset.
        indices: the dataset's index of every row of the predictions.
        predictions: the estimates.
        rows: rows to draw.
        label: first part of the names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for rank, row in enumerate(rows):
        frame = frames[indices[row]]
        path = folder / f"{label}_{rank:02d}_{frame.key.replace('/', '_')}.png"
        error = np.linalg.norm(predictions.joints[row] - frame.target.joints, axis=-1)[
            frame.target.valid
        ]
        known = error[np.isfinite(error)]
        caption = frame.key + (f"  {1000 * known.mean():.0f} mm" if len(known) else "")
        picture = side_by_side(frame, predictions.pixels[row], caption)
        if not cv2.imwrite(str(path), picture):
            raise OSError(f"could not write {path}")
        paths.append(path)
    return paths


def _grey(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    known = depth > 0
    if not known.any():
        return np.zeros(depth.shape, dtype=np.uint8)
    near, far = np.percentile(depth[known], (1, 99))
    shade = 1.0 - np.clip((depth - near) / max(far - near, 1e-3), 0.0, 1.0)
    return np.where(known, _BACKGROUND + shade * (255 - _BACKGROUND), 0).astype(np.uint8)


def _skeleton(image: MatLike, points: NDArray, color: tuple[int, int, int]) -> None:
    known = np.isfinite(points).all(-1)
    # Far outside the image OpenCV's integers overflow.
    corners = np.clip(np.where(known[:, None], points, 0), -10000, 10000).round().astype(int)
    for parent, child in EDGES:
        while parent >= 0 and not known[parent]:  # a dataset without Neck: from its parent on
            parent = PARENTS[parent]
        if parent >= 0 and known[child]:
            cv2.line(image, corners[parent].tolist(), corners[child].tolist(), color, 2)
    for point in corners[known]:
        cv2.circle(image, point.tolist(), 4, color, -1)
