"""PoseEstimator: what an application imports; numpy in, numpy out."""

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.backends.backend import int8_path, make_backend
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.detection import Detection, distinct, find, least_pose_score, person_score
from depth_pose_ros.core.models.detector import PersonDetector, build_detector
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.weights import POSE, build_pose, load_modules, resolve

DETECTOR = "detector"  #: name of the person detector among a weights file's modules
_ROUNDING = 1e-5  # a score this much too low may be just enough
#: Where confidence has been fitted, a pose whose joints are believed less than this in the mean is
#: nobody's, whatever its score: of rendered people one or two in a thousand have so little, of
#: false finds one in seven.
MIN_MEAN_CONFIDENCE = 0.25
SMALLEST = 32  #: pixels: no person can be made out in an image smaller than this


class DepthImageError(ValueError):
    """The depth image is not one that people can be looked for in."""


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
        """An estimator from the weights that ``options.model`` names; as :meth:`from_pretrained`."""
        path = resolve(options.model or None)
        modules = load_modules(path, {POSE: build_pose, DETECTOR: build_detector})
        pose, detector = modules[POSE], modules[DETECTOR]
        assert isinstance(pose, PoseNetwork)
        assert isinstance(detector, PersonDetector)
        return cls(pose, detector, options, int8_path(path))

    def estimate(self, depth: NDArray[np.float32], camera: Camera) -> list[Pose]:
        """People in one depth image.

        Args:
            depth: (H, W) float32 metres, 0 or NaN where missing; any resolution.
            camera: intrinsics of this image.

        Returns:
            One pose per person, surest first; empty where nobody is.

        Raises:
            DepthImageError: not a two-dimensional float image of the camera's size, or too small.
        """
        depth = _checked(depth, camera)
        most = self.options.max_people
        # Some turn out to be nobody; the places of those go to fainter finds.
        finds = find(
            self._detector,
            depth,
            camera,
            most=2 * most,
            run=self._backend.detect,
            farthest=self.options.max_distance,
        )
        people = self._people(depth, camera, finds[:most])
        if len(people) < most:
            people += self._people(depth, camera, finds[most:])
        return _distinct(people)[:most]

    def estimate_at(
        self, depth: NDArray[np.float32], camera: Camera, finds: list[Detection]
    ) -> list[Pose]:
        """Skeletons of people already found; as :meth:`estimate`."""
        return _distinct(self._people(depth, camera, finds))

    def _people(
        self, depth: NDArray[np.float32], camera: Camera, finds: list[Detection]
    ) -> list[Pose]:
        """A pose of every find that is a person, by the detector and the pose network together."""
        if not finds:
            return []
        frames = [crops.frame_around(f.centre) for f in finds]
        images = np.stack([crops.cut(depth, camera, frame) for frame in frames])
        places = np.stack([frame.as_array() for frame in frames])
        least = np.array([least_pose_score(f.score, self.options.min_person_score) for f in finds])
        output = self._backend.poses(
            images, places, cast(Stage, self.options.stage), (least - _ROUNDING).astype(np.float32)
        )
        scores = np.array(
            [person_score(f.score, float(s)) for f, s in zip(finds, output.score, strict=True)]
        )
        believed = output.confidence.mean(1).numpy() >= self._min_mean_confidence
        (people,) = np.nonzero((scores >= self.options.min_person_score) & believed)
        joints, confidence = (t.numpy()[people] for t in (output.joints, output.confidence))
        pixels = camera.project(joints).astype(np.float32)
        return [
            Pose(joints[i], pixels[i], confidence[i], float(scores[k]))
            for i, k in enumerate(people)
        ]


def _distinct(poses: list[Pose]) -> list[Pose]:
    """People of their own, surest first."""
    if not poses:
        return []
    scores = np.array([p.score for p in poses])
    return [poses[i] for i in distinct(np.stack([p.joints for p in poses]), scores)]


def choose_device(name: str) -> torch.device:
    """The torch device of that name; "auto" is a GPU where there is one.

    Raises:
        ValueError: no such device here.
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
    if min(depth.shape) < SMALLEST:
        raise DepthImageError(
            f"a depth image of {depth.shape[1]} x {depth.shape[0]} is too small to see people in: "
            f"it needs {SMALLEST} pixels each way"
        )
    return np.ascontiguousarray(depth, dtype=np.float32)
