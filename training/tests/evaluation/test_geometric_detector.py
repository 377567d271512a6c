"""The geometric detector: segments of a simulated room and the classification of sizes."""

import numpy as np
import pytest

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.datasets import LabelledFrame, LabelledPerson
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.geometric_detector import GeometricDetector, segments

CAMERA = Camera(110.0, 110.0, 63.5, 52.5, 128, 106)


def room(*columns: tuple[float, float, float, float]) -> np.ndarray:
    """A wall at 4 m, a floor 1 m below the camera, and elliptic columns.

    Args:
        columns: x, z, half of the width and the height above the floor of each, metres.
    """
    v, u = np.mgrid[:106, :128]
    x, y = (u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy
    with np.errstate(divide="ignore"):
        depth = np.minimum(4.0, np.where(y > 0, 1.0 / y, np.inf))
    for left, z, half, height in columns:
        across = (x * z - left) / half
        up = 1.0 - y * z
        inside = (np.abs(across) < 1) & (up > 0) & (up < height)
        front = z - half * np.sqrt(np.clip(1 - across**2, 0, 1))
        depth = np.where(inside, np.minimum(depth, front), depth)
    return depth.astype(np.float32)


def frame(people: list[tuple[float, float]], objects: list[tuple[float, float]]) -> LabelledFrame:
    """People as columns of 1.6 m, other objects of 0.4 m.

    Two people show less than a square metre: no plane through both is removed.
    """
    depth = room(
        *[(x, z, 0.14 + 0.01 * i, 1.6 + 0.05 * i) for i, (x, z) in enumerate(people)],
        *[(x, z, 0.2, 0.4) for x, z in objects],
    )
    joints = [np.tile((x, 0.1, z), (NUM_JOINTS, 1)) for x, z in people]
    valid = np.ones(NUM_JOINTS, bool)
    labelled = tuple(LabelledPerson(j, CAMERA.project(j), valid) for j in joints)
    return LabelledFrame(depth, CAMERA, labelled, "room")


def test_planes_are_removed_and_objects_separated() -> None:
    parts = [p for p in segments(room((-0.6, 2.5, 0.25, 1.7), (0.7, 3.0, 0.2, 0.4)), CAMERA)
             if len(p) > 20]  # fmt: skip
    assert len(parts) == 2
    tall, low = sorted(parts, key=len, reverse=True)
    assert np.median(tall, axis=0)[[0, 2]] == pytest.approx((-0.6, 2.4), abs=0.15)
    assert np.median(low, axis=0)[[0, 2]] == pytest.approx((0.7, 2.9), abs=0.15)


def test_segments_of_the_size_of_people_are_detected() -> None:
    positions = [(-0.8, 2.4), (-0.3, 2.2), (0.1, 2.6), (0.5, 2.3)]
    detector = GeometricDetector(frame([(x, z)], [(x + 0.9, 3.0)]) for x, z in positions)
    depth = frame([(-0.7, 2.7), (0.3, 2.5)], [(1.0, 3.0)]).depth
    detections = detector(depth, CAMERA)
    assert sorted(d.centre[0] for d in detections) == pytest.approx([-0.7, 0.3], abs=0.15)
    assert [d.score for d in detections] == sorted((d.score for d in detections), reverse=True)
    assert detector(room(), CAMERA) == []


def test_sizes_need_people_and_other_objects() -> None:
    with pytest.raises(UserError, match="other objects"):
        GeometricDetector([])
