"""PoseEstimator: depth image in, skeletons out, as NumPy arrays."""

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.backends.backend import int8_path, make_backend
from depth_pose_ros.core.body_plausibility import is_plausible, limit_bones
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.detection import Detection, combine_scores, detect, min_crop_score
from depth_pose_ros.core.models.detector import PersonDetector, build_detector
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage
from depth_pose_ros.core.nms import pose_nms
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.sparse_depth import fill_sparse
from depth_pose_ros.core.weights import POSE, build_pose, load_modules, resolve

DETECTOR = "detector"  #: name of the person detector among a weights file's modules
_ROUNDING = 1e-5  # tolerance of the score threshold
#: With calibrated confidence, skeletons with a lower mean confidence are discarded: 0.1 to 0.2 % of
#: rendered people, one in seven false positives.
MIN_MEAN_CONFIDENCE = 0.25
MIN_IMAGE_SIZE = 32  #: pixels, of the shorter side


class DepthImageError(ValueError):
    """The depth image has a wrong type, shape or size."""


class PoseEstimator:
    """Detects people in depth images and estimates their skeletons.

    Args:
        pose: the pose network.
        detector: the person detector.
        options: see :class:`depth_pose_ros.core.options.EstimatorOptions`; ``model`` is not used.
        int8: file of the quantized FCN, if there is one.

    Raises:
        ValueError: a device or backend that is not available.
    """

    def __init__(
        self,
        pose: PoseNetwork,
        detector: PersonDetector,
        options: EstimatorOptions = EstimatorOptions(),  # noqa: B008 (frozen)
        int8: Path | None = None,
    ) -> None:
        self.options = options
        self.device = choose_device(options.device)
        filtered = options.min_person_score > 0 and pose.has_calibration
        self._min_mean_confidence = MIN_MEAN_CONFIDENCE if filtered else 0.0
        self._detector = detector
        self._backend = make_backend(
            pose.eval(),
            detector.eval(),
            self.device,
            options.backend,
            options.threads,
            int8,
            options.flip_test,
        )

    @classmethod
    def from_pretrained(
        cls, model: str | os.PathLike[str] | None = None, **options: Any
    ) -> "PoseEstimator":
        """An estimator from a weights file.

        Args:
            model: name of a shipped model ("compact", the default, or "paper") or a path; see
                :func:`depth_pose_ros.core.weights.resolve`.
            options: fields of :class:`depth_pose_ros.core.options.EstimatorOptions`.

        Raises:
            WeightsError: a missing or foreign file; the message says which and why.
            ValueError: an option out of range, or a device or backend that is not available.
            TypeError: an unknown option.
        """
        return cls.from_options(EstimatorOptions(model=os.fspath(model or ""), **options))

    @classmethod
    def from_options(cls, options: EstimatorOptions) -> "PoseEstimator":
        """An estimator from the weights ``options.model``; as :meth:`from_pretrained`."""
        path = resolve(options.model or None)
        modules = load_modules(path, {POSE: build_pose, DETECTOR: build_detector})
        pose, detector = modules[POSE], modules[DETECTOR]
        assert isinstance(pose, PoseNetwork)
        assert isinstance(detector, PersonDetector)
        return cls(pose, detector, options, int8_path(path))

    def estimate(self, depth: NDArray[np.float32], camera: Camera) -> list[Pose]:
        """People in one depth image.

        Args:
            depth: (H, W) float32 metres, 0 or NaN where missing; any resolution.  Gaps between
                isolated measurements are filled, see
                :func:`depth_pose_ros.core.sparse_depth.fill_sparse`.
            camera: intrinsics of this image.

        Returns:
            One pose per person, highest score first; empty if no person is detected.

        Raises:
            DepthImageError: not a two-dimensional float image of the camera's size, or too small.
        """
        depth = _checked(depth, camera)
        cell = min(camera.fx, camera.fy) / self._detector.config.focal
        depth = fill_sparse(depth, cell).depth
        limit = self.options.max_people
        # The pose network rejects some detections; weaker ones then take their places.
        detections = detect(
            self._detector,
            depth,
            camera,
            max_detections=2 * limit,
            run=self._backend.detect,
            max_distance=self.options.max_distance,
        )
        poses = self._poses(depth, camera, detections[:limit])
        if len(poses) < limit:
            poses += self._poses(depth, camera, detections[limit:])
        return _suppressed(poses)[:limit]

    def estimate_at(
        self, depth: NDArray[np.float32], camera: Camera, detections: list[Detection]
    ) -> list[Pose]:
        """Skeletons of given detections; otherwise as :meth:`estimate`."""
        return _suppressed(self._poses(depth, camera, detections))

    def _poses(
        self, depth: NDArray[np.float32], camera: Camera, detections: list[Detection]
    ) -> list[Pose]:
        """Poses of the detections that are people, by score, confidence and bone lengths."""
        if not detections:
            return []
        frames = [crops.frame_around(d.centre) for d in detections]
        images = np.stack([crops.cut(depth, camera, frame) for frame in frames])
        positions = np.stack([frame.as_array() for frame in frames])
        min_score = self.options.min_person_score
        min_scores = np.array([min_crop_score(d.score, min_score) for d in detections])
        output = self._backend.poses(
            images,
            positions,
            cast(Stage, self.options.stage),
            (min_scores - _ROUNDING).astype(np.float32),
        )
        scores = np.array(
            [
                combine_scores(d.score, float(s))
                for d, s in zip(detections, output.score, strict=True)
            ]
        )
        confident = output.confidence.mean(1).numpy() >= self._min_mean_confidence
        plausible = is_plausible(output.joints.numpy()) | (min_score == 0)
        (kept,) = np.nonzero((scores >= min_score) & confident & plausible)
        joints = limit_bones(output.joints.numpy()[kept])
        confidence = output.confidence.numpy()[kept]
        pixels = camera.project(joints).astype(np.float32)
        return [
            Pose(joints[i], pixels[i], confidence[i], float(scores[k])) for i, k in enumerate(kept)
        ]


def _suppressed(poses: list[Pose]) -> list[Pose]:
    """One pose per person, highest score first."""
    if not poses:
        return []
    scores = np.array([p.score for p in poses])
    return [poses[i] for i in pose_nms(np.stack([p.joints for p in poses]), scores)]


def choose_device(name: str) -> torch.device:
    """The torch device of a name; "auto" is a GPU if there is one.

    Raises:
        ValueError: the device is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}: use auto, cpu or cuda[:n]") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but torch finds no CUDA GPU: use cpu")
    return device


def _checked(depth: NDArray[np.float32], camera: Camera) -> NDArray[np.float32]:
    depth = np.asarray(depth)
    if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
        raise DepthImageError(
            f"depth must be (H, W) floating point metres, got {depth.dtype} of shape {depth.shape}"
        )
    if depth.shape != (camera.height, camera.width):
        raise DepthImageError(
            f"the depth image is {depth.shape[1]} x {depth.shape[0]}, but its camera says "
            f"{camera.width} x {camera.height}"
        )
    if min(depth.shape) < MIN_IMAGE_SIZE:
        raise DepthImageError(
            f"a depth image of {depth.shape[1]} x {depth.shape[0]} is too small: it needs at least "
            f"{MIN_IMAGE_SIZE} x {MIN_IMAGE_SIZE} pixels"
        )
    return np.ascontiguousarray(depth, dtype=np.float32)
