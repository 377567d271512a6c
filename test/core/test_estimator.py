"""PoseEstimator: its contract, with networks that have learned nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.detection import Detection
from depth_pose_ros.core.estimator import (
    DETECTOR,
    MIN_MEAN_CONFIDENCE,
    DepthImageError,
    PoseEstimator,
    choose_device,
)
from depth_pose_ros.core.models import config
from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.detector import DetectorConfig, DetectorOutput, PersonDetector
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.weights import POSE, WeightsError, save_modules

CAMERA = Camera(365.0, 365.0, 255.5, 211.5, 512, 424)


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    torch.manual_seed(0)
    return PoseEstimator(
        PoseNetwork(config.compact()),
        PersonDetector(DetectorConfig()),
        EstimatorOptions(device="cpu", min_person_score=0.0),
    )


@pytest.fixture
def depth() -> np.ndarray:
    rng = np.random.default_rng(0)
    image = rng.uniform(1.5, 3.0, (424, 512)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = np.nan
    return image


def test_poses_are_finite_and_project_to_their_pixels(
    estimator: PoseEstimator, depth: np.ndarray
) -> None:
    detections = [Detection(np.array((0.1 * i, 0.0, 2.0 + i)), 0.9) for i in range(3)]
    poses = estimator.estimate_at(depth, CAMERA, detections)
    assert len(poses) == 3
    assert [p.score for p in poses] == sorted((p.score for p in poses), reverse=True)
    for pose in poses:
        assert pose.joints.shape == (19, 3)
        assert pose.joints.dtype == np.float32
        assert np.isfinite(pose.joints).all()
        np.testing.assert_allclose(CAMERA.project(pose.joints), pose.pixels, atol=0.01)
        assert ((pose.confidence >= 0) & (pose.confidence <= 1)).all()


def test_poses_do_not_depend_on_other_people(estimator: PoseEstimator, depth: np.ndarray) -> None:
    first, second = (
        Detection(np.array((0.0, 0.0, 2.0)), 0.9),
        Detection(np.array((0.4, 0.0, 2.6)), 0.8),
    )
    together = estimator.estimate_at(depth, CAMERA, [first, second])
    alone = [estimator.estimate_at(depth, CAMERA, [f])[0] for f in (first, second)]
    by_score = sorted(alone, key=lambda p: -p.score)
    for a, b in zip(together, by_score, strict=True):
        np.testing.assert_allclose(a.joints, b.joints, atol=1e-4)


def test_weaker_detections_replace_rejected_ones(
    estimator: PoseEstimator, depth: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    detections = [Detection(np.array((0.5 * i, 0.0, 2.0 + i)), 0.9 - 0.1 * i) for i in range(4)]
    requested = []

    def people(depth: np.ndarray, camera: Camera, some: list[Detection]) -> list[Pose]:
        requested.append(some)
        return [
            Pose(np.full((19, 3), f.centre[2], np.float32), np.zeros((19, 2), np.float32),
                 np.ones(19, np.float32), f.score)
            for f in some if f.score not in rejected
        ]  # fmt: skip

    monkeypatch.setattr(
        "depth_pose_ros.core.estimator.detect",
        lambda *_, max_detections, **__: detections[:max_detections],
    )
    monkeypatch.setattr(estimator, "_poses", people)
    monkeypatch.setattr(estimator, "options", replace(estimator.options, max_people=2))
    rejected: list[float] = []
    assert [p.score for p in estimator.estimate(depth, CAMERA)] == pytest.approx([0.9, 0.8])
    assert requested == [detections[:2]]
    rejected = [detections[0].score]
    assert [p.score for p in estimator.estimate(depth, CAMERA)] == pytest.approx([0.8, 0.7])


def test_people_beyond_max_distance_are_ignored(
    estimator: PoseEstimator, depth: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = DetectorOutput(torch.full((1, 32, 40), -6.0), torch.zeros(1, 2, 32, 40),
                        torch.full((1, 32, 40), 3.0))  # fmt: skip
    maps.heat[0, 16, 20] = 3.0
    monkeypatch.setattr(estimator._backend, "detect", lambda _: maps)
    assert len(estimator.estimate(depth, CAMERA)) == 1
    monkeypatch.setattr(estimator, "options", replace(estimator.options, max_distance=2.9))
    assert estimator.estimate(depth, CAMERA) == []


@pytest.mark.parametrize(
    ("calibrated", "min_score", "mean_confidence", "people"),
    [
        (True, 0.5, MIN_MEAN_CONFIDENCE - 0.01, 0),
        (True, 0.5, MIN_MEAN_CONFIDENCE + 0.01, 1),
        (True, 0.0, MIN_MEAN_CONFIDENCE - 0.01, 1),
        (False, 0.5, MIN_MEAN_CONFIDENCE - 0.01, 1),
    ],
)
def test_pose_with_low_mean_confidence_is_discarded(
    calibrated: bool,
    min_score: float,
    mean_confidence: float,
    people: int,
    depth: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = PoseNetwork(config.compact())
    if calibrated:
        network.calibration[:, 1] = 0.1
    estimator = PoseEstimator(
        network,
        PersonDetector(DetectorConfig()),
        EstimatorOptions(device="cpu", min_person_score=min_score),
    )
    pose = PoseOutput(torch.ones(1, 19, 3), torch.ones(1, 19, 2),
                      torch.full((1, 19), mean_confidence), torch.full((1,), 0.99))  # fmt: skip
    monkeypatch.setattr(estimator._backend, "poses", lambda *_: pose)
    find = Detection(np.array((0.0, 0.0, 2.0)), 0.99)
    assert len(estimator.estimate_at(depth, CAMERA, [find])) == people


def test_rejected_detections_give_an_empty_list(estimator: PoseEstimator) -> None:
    empty = np.zeros((424, 512), np.float32)
    assert estimator.estimate_at(empty, CAMERA, []) == []
    assert estimator.estimate(empty, CAMERA) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((424, 512), np.uint16), "floating point metres"),
        (np.zeros((424, 512, 1), np.float32), "floating point metres"),
        (np.zeros((480, 640), np.float32), "640 x 480, but its camera says 512 x 424"),
    ],
)
def test_bad_images_are_refused(estimator: PoseEstimator, image: np.ndarray, message: str) -> None:
    with pytest.raises(DepthImageError, match=message):
        estimator.estimate(image, CAMERA)


def test_a_tiny_image_is_refused(estimator: PoseEstimator) -> None:
    with pytest.raises(DepthImageError, match="too small"):
        estimator.estimate(np.ones((3, 3), np.float32), Camera(3, 3, 1, 1, 3, 3))


def test_weights_on_disk(tmp_path, depth: np.ndarray) -> None:
    torch.manual_seed(1)
    pose, detector = PoseNetwork(config.compact()), PersonDetector(DetectorConfig())
    path = tmp_path / "both.safetensors"
    save_modules(
        path,
        {POSE: (pose, pose.config.to_json()), DETECTOR: (detector, detector.config.to_json())},
    )
    loaded = PoseEstimator.from_pretrained(path, device="cpu", min_person_score=0.0)
    assert len(loaded.estimate_at(depth, CAMERA, [Detection(np.array((0.0, 0.0, 2.0)), 1.0)])) == 1
    save_modules(path, {POSE: (pose, pose.config.to_json())})
    with pytest.raises(WeightsError, match="detector"):
        PoseEstimator.from_pretrained(path)
    with pytest.raises(WeightsError, match="no such file"):
        PoseEstimator.from_pretrained(tmp_path / "none.safetensors")


def test_limits_and_devices_are_checked() -> None:
    with pytest.raises(ValueError, match="max_people"):
        EstimatorOptions(max_people=0)
    with pytest.raises(ValueError, match="min_person_score"):
        EstimatorOptions(min_person_score=1.5)
    for distance in (0.0, float("nan")):
        with pytest.raises(ValueError, match="max_distance"):
            EstimatorOptions(max_distance=distance)
    with pytest.raises(ValueError, match="stage"):
        EstimatorOptions(stage="half")
    with pytest.raises(ValueError, match="unknown device"):
        choose_device("abacus")
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(ValueError, match="no CUDA GPU"):
            choose_device("cuda")
