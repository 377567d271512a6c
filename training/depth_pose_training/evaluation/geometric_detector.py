"""Detection of people by geometry: the baseline of the person detector.

Planes (floor, walls, table tops) are removed, the remaining points are segmented at depth
discontinuities, and segments are classified by their size.  The pose of the camera is not used.
The sizes of people are learned from labelled frames.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.naive_bayes import GaussianNB

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.detection import SPINE_TO_SURFACE, Detection, resize_depth
from depth_pose_training.data.datasets import LabelledFrame
from depth_pose_training.data.people import match_people, torso_centre
from depth_pose_training.errors import UserError

Array = NDArray[np.float64]

_FOCAL = 110.0  # pixels, focal length of the resized images
_FAR = 8.0  # metres, maximum distance
_PLANES = 5  # maximum number of removed planes
_TRIALS = 200  # random triples of points for each plane
_PLANE_AREA = 1.0  # square metres, minimum visible area of a plane; a person has less
_PLANE_METRES = 0.03  # maximum distance of points from a plane at 1 m; grows with depth
_MIN_TRIANGLE = 0.01  # square metres, double area of three points that define a plane
_JUMP = 0.06  # metres, minimum discontinuity between adjacent pixels at 1 m; grows with depth
_MIN_AREA = 0.03  # square metres of a segment


class GeometricDetector:
    """Detects people by the size and shape of segments.

    Args:
        frames: labelled frames to learn the sizes of people and other objects from.

    Raises:
        UserError: the frames have no people, or no other objects.
    """

    def __init__(self, frames: Iterable[LabelledFrame]) -> None:
        rows, people = [], []
        for frame in frames:
            people_centres = np.array([torso_centre(j) for j in frame.joints])
            centres, sizes = _measure(frame.depth, frame.camera)
            rows.append(sizes)
            people.append(match_people(centres, people_centres) >= 0)
        labels = np.concatenate(people or [np.zeros(0, bool)])
        if labels.all() or not labels.any():
            raise UserError("the sizes need frames with people and with other objects")
        self._sizes = GaussianNB().fit(np.concatenate(rows), labels)

    def __call__(
        self, depth: NDArray[np.float32], camera: Camera, threshold: float = 0.5
    ) -> list[Detection]:
        """People, highest score first; as :func:`depth_pose_ros.core.detection.detect`."""
        centres, sizes = _measure(depth, camera)
        if not len(centres):
            return []
        scores = self._sizes.predict_proba(sizes)[:, 1]
        order = np.argsort(-scores, kind="stable")
        return [Detection(centres[i], float(scores[i])) for i in order if scores[i] >= threshold]


def segments(depth: NDArray[np.float32], camera: Camera) -> list[Array]:
    """Segments of an image without its planes, split at depth discontinuities.

    Args:
        depth: (H, W) metres, 0 or NaN where missing.
        camera: its intrinsics.

    Returns:
        (M, 3) metres, the points of every segment.
    """
    rows, columns = np.nonzero((depth > 0) & (depth < _FAR))
    points = camera.back_project(np.stack((columns, rows), -1), depth[rows, columns])
    area = points[:, 2] ** 2 / (camera.fx * camera.fy)
    rest = _without_planes(points, area)
    index = np.full(depth.shape, -1)
    index[rows[rest], columns[rest]] = np.arange(len(rest))
    points = points[rest]
    ends = []
    for one, other in ((index[1:], index[:-1]), (index[:, 1:], index[:, :-1])):
        a, b = one.ravel(), other.ravel()
        a, b = (x[(a >= 0) & (b >= 0)] for x in (a, b))
        z = points[:, 2]
        near = np.abs(z[a] - z[b]) < _JUMP * np.maximum(z[a], 1)
        ends.append((a[near], b[near]))
    a, b = (np.concatenate(e) for e in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(points), len(points)))
    count, label = connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    bounds = np.bincount(label, minlength=count).cumsum()[:-1]
    return list(np.split(points[order], bounds))


def _measure(depth: NDArray[np.float32], camera: Camera) -> tuple[Array, Array]:
    """(N, 3) torso centres of the segments, as if they were people, and (N, 4) log sizes."""
    depth, camera = resize_depth(depth, camera, _FOCAL, 1)
    pixel = 1 / (camera.fx * camera.fy)
    centres, sizes = [], []
    for points in segments(depth, camera):
        area = float((points[:, 2] ** 2).sum()) * pixel
        if area < _MIN_AREA or len(points) < 10:
            continue
        middle = np.median(points, axis=0)
        _, _, axes = np.linalg.svd(points - middle, full_matrices=False)
        low, high = np.percentile((points - middle) @ axes.T, (5, 95), axis=0)
        spread = np.maximum(high - low, 0.01)
        sizes.append(np.log((area, *spread)))
        centres.append(middle * (1 + SPINE_TO_SURFACE / middle[2]))
    return np.array(centres).reshape(-1, 3), np.array(sizes).reshape(-1, 4)


def _without_planes(points: Array, area: Array) -> NDArray[np.int64]:
    """Indices of the points (N, 3) outside large planes; ``area`` is (N,), of each point."""
    rest = np.arange(len(points))
    rng = np.random.default_rng(0)
    for _ in range(_PLANES):
        if area[rest].sum() < _PLANE_AREA:
            break
        own = points[rest]
        triple = own[rng.integers(0, len(own), (_TRIALS, 3))]
        normal = np.cross(triple[:, 1] - triple[:, 0], triple[:, 2] - triple[:, 0])
        length = np.linalg.norm(normal, axis=1)
        normal /= np.maximum(length, _MIN_TRIANGLE)[:, None]
        step = max(1, len(own) // 1500)
        some = own[::step]
        height = some @ normal.T - (normal * triple[:, 0]).sum(1)
        near = np.abs(height) < _thickness(some)[:, None]
        near &= length > _MIN_TRIANGLE  # collinear points define no plane
        best = int((area[rest][::step] @ near).argmax())
        on = np.abs((own - triple[best, 0]) @ normal[best]) < _thickness(own)
        if area[rest[on]].sum() < _PLANE_AREA:
            break
        rest = rest[~on]
    return rest


def _thickness(points: Array) -> Array:
    return _PLANE_METRES * np.maximum(points[:, 2], 1.0)
