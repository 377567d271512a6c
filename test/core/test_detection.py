"""The person detector: resampling and decoding; non-maximum suppression."""

import numpy as np
import pytest
import torch

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.detection import (
    SPINE_TO_SURFACE,
    combine_scores,
    decode_detections,
    detect,
    min_crop_score,
    resize_depth,
)
from depth_pose_ros.core.models.config import ConfigError
from depth_pose_ros.core.models.detector import (
    DetectorConfig,
    DetectorOutput,
    PersonDetector,
    build_detector,
)
from depth_pose_ros.core.nms import SAME_POSE, distance_to_bones, pose_nms
from depth_pose_ros.core.skeleton import EDGES, INDEX
from helpers.poses import standing

CAMERA = Camera(110.0, 110.0, 79.5, 63.5, 160, 128)


def maps(people: list[tuple[int, int, float, float]]) -> DetectorOutput:
    """Maps of 32 x 40 cells with people at (row, column, z, logit)."""
    heat = torch.full((1, 32, 40), -6.0)
    offset = torch.zeros(1, 2, 32, 40)
    depth = torch.full((1, 32, 40), 2.0)
    for row, column, z, logit in people:
        heat[0, row, column] = logit
        depth[0, row, column] = z
        offset[0, :, row, column] = torch.tensor((1.0, -1.0))
    return DetectorOutput(heat, offset, depth)


def test_detections_are_decoded_highest_score_first() -> None:
    detections = decode_detections(
        maps([(10, 12, 2.0, 1.0), (20, 30, 3.0, 3.0)]), CAMERA, 4, 0.35, 6
    )
    assert [f.score for f in detections] == pytest.approx([0.9526, 0.7311], abs=1e-3)
    u, v, z = 30 * 4 + 1.0, 20 * 4 - 1.0, 3.0
    spine = CAMERA.back_project((u, v), z)
    np.testing.assert_allclose(detections[0].centre, spine * (z - SPINE_TO_SURFACE) / z, atol=1e-6)


def test_nms_drops_neighbouring_maxima_and_duplicates() -> None:
    people = [(10, 12, 2.0, 2.0), (10, 13, 2.0, 1.0), (12, 14, 2.05, 0.5)]
    detections = decode_detections(maps(people), CAMERA, 4, 0.35, 6)
    assert len(detections) == 1


def test_people_behind_each_other_are_kept() -> None:
    assert (
        len(decode_detections(maps([(10, 12, 2.0, 2.0), (10, 15, 3.0, 1.0)]), CAMERA, 4, 0.35, 6))
        == 2
    )


def test_maximum_number_and_minimum_score() -> None:
    crowd = [(r, c, 2.0, 1.0 + r / 100) for r in (4, 14, 24) for c in (4, 14, 24, 34)]
    assert len(decode_detections(maps(crowd), CAMERA, 4, 0.35, 3)) == 3
    assert decode_detections(maps(crowd), CAMERA, 4, 0.9, 6) == []
    assert decode_detections(maps([(10, 10, 0.1, 5.0)]), CAMERA, 4, 0.35, 6) == []  # too near


def test_detections_beyond_max_distance_are_discarded() -> None:
    there = maps([(10, 12, 2.0, 1.0), (20, 30, 6.0, 3.0)])
    (near,) = decode_detections(there, CAMERA, 4, 0.35, 1, max_distance=5.5)
    assert near.centre[2] == pytest.approx(2.0 - SPINE_TO_SURFACE)
    assert len(decode_detections(there, CAMERA, 4, 0.35, 6, max_distance=6.5)) == 2


@pytest.mark.parametrize(
    "camera",
    [
        Camera(365.0, 365.0, 255.5, 211.5, 512, 424),
        Camera(1081.0, 1081.0, 959.5, 539.5, 1920, 1080),
        Camera(60.0, 60.0, 39.5, 29.5, 80, 60),
        Camera(504.0, 470.0, 320.0, 288.0, 640, 576),
    ],
)
def test_resizing_keeps_rays(camera: Camera) -> None:
    point = np.array((0.2, 0.1, 2.0))
    u, v = camera.project(point)
    depth = np.full((camera.height, camera.width), np.nan, np.float32)
    reach = max(1, round(camera.fx * 0.04))
    depth[round(v) - reach : round(v) + reach + 1, round(u) - reach : round(u) + reach + 1] = 2.0
    small, small_camera = resize_depth(depth, camera, 110.0, 16)
    assert small.shape[0] % 16 == small.shape[1] % 16 == 0
    assert np.isfinite(small).all()
    rows, columns = np.nonzero(small)
    expected = small_camera.project(point)
    assert (columns.mean(), rows.mean()) == pytest.approx(
        tuple(expected), abs=0.7 * max(1.0, 110 / camera.fx)
    )


def test_any_image_size_and_missing_depth() -> None:
    torch.manual_seed(0)
    detector = PersonDetector(DetectorConfig()).eval()
    output = detector(torch.rand(2, 96, 144))
    assert output.heat.shape == (2, 24, 36)
    assert output.offset.shape == (2, 2, 24, 36)
    for shape in ((424, 512), (60, 80), (33, 47)):
        camera = Camera(300.0, 300.0, shape[1] / 2, shape[0] / 2, shape[1], shape[0])
        for depth in (np.zeros(shape, np.float32), np.full(shape, np.nan, np.float32)):
            assert isinstance(detect(detector, depth, camera), list)


def test_configuration_round_trip_and_refusal() -> None:
    config = DetectorConfig(focal=90.0, channels=(8, 16, 24, 32))
    assert DetectorConfig.from_json(config.to_json()) == config
    assert build_detector(config.to_json()).config == config
    with pytest.raises(ConfigError, match="detector's configuration"):
        DetectorConfig.from_json('{"focal": "near"}')


@pytest.mark.parametrize(
    ("found", "pose", "expected"),
    [(0.3, 0.3, 0.3), (0.5, 0.9, 0.75), (0.9, 0.5, 0.75), (0.2, 0.8, 0.5), (0.0, 0.9, 0.0),
     (1.0, 0.4, 1.0), (0.0, 1.0, 0.5)],
)  # fmt: skip
def test_combined_score_is_the_mean_of_log_odds(found: float, pose: float, expected: float) -> None:
    assert combine_scores(found, pose) == pytest.approx(expected)


@pytest.mark.parametrize("detection_score", [0.1, 0.5, 0.93])
@pytest.mark.parametrize("person", [0.05, 0.5, 0.9])
def test_min_crop_score_gives_the_person_score(detection_score: float, person: float) -> None:
    assert combine_scores(
        detection_score, min_crop_score(detection_score, person)
    ) == pytest.approx(person)


def test_min_crop_score_at_the_limits() -> None:
    assert min_crop_score(0.4, 0.0) == 0.0
    assert min_crop_score(1.0, 0.7) == 0.0
    assert min_crop_score(0.0, 0.7) == 1.0


def test_nms_drops_duplicates_and_keeps_neighbours() -> None:
    body = standing().joints.astype(np.float64)
    again = body + (0.0, 0.0, 0.7 * SAME_POSE)
    again[15:] += 0.5  # a few limbs elsewhere
    neighbour = body - (0.5, 0.0, 0.0)
    poses = np.stack((again, neighbour, body))
    assert pose_nms(poses, np.array((0.6, 0.7, 0.9))) == [2, 1]
    assert pose_nms(poses, np.array((0.95, 0.7, 0.9))) == [0, 1]
    assert pose_nms(poses[:1], np.array((0.1,))) == [0]
    assert pose_nms(np.zeros((0, 19, 3)), np.zeros(0)) == []


def test_nms_drops_a_small_pose_on_the_legs_of_another() -> None:
    body = standing().joints.astype(np.float64)
    hips = body[[INDEX["LeftHip"], INDEX["RightHip"]]].mean(0)
    feet = body[[INDEX["LeftFoot"], INDEX["RightFoot"]]].mean(0)
    head, foot = body[:, 1].min(), body[:, 1].max()
    share = (body[:, 1] - head) / (foot - head)
    small = hips + share[:, None] * (feet - hips)
    small[:, 0] += 0.5 * (body[:, 0] - hips[0])
    assert np.median(np.linalg.norm(small - body, axis=1)) > SAME_POSE
    poses = np.stack((body, small))
    assert pose_nms(poses, np.array((0.9, 0.8))) == [0]
    behind = small + (0.0, 0.0, 0.4)
    assert pose_nms(np.stack((body, behind)), np.array((0.9, 0.8))) == [0, 1]


def test_distance_to_bones_equals_a_naive_version() -> None:
    rng = np.random.default_rng(3)
    joints, bodies = rng.normal(size=(19, 3)), rng.normal(size=(2, 19, 3))
    bodies[1, EDGES[0].child] = bodies[1, EDGES[0].parent]  # zero length
    for body, given in zip(
        bodies, [distance_to_bones(joints, body) for body in bodies], strict=True
    ):
        for joint, distance in zip(joints, given, strict=True):
            points = (
                body[e.parent] + t * (body[e.child] - body[e.parent])
                for e in EDGES
                for t in np.linspace(0, 1, 1001)
            )
            assert distance == pytest.approx(
                min(np.linalg.norm(joint - point) for point in points), abs=3e-3
            )
