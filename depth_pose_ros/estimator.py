"""PoseEstimator: what an application imports; numpy in, numpy out."""

import os
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from depth_pose_ros import crops
from depth_pose_ros.camera import Camera
from depth_pose_ros.network.finder import Finder, build_finder
from depth_pose_ros.network.model import PoseNetwork, Stage
from depth_pose_ros.people import Find, distinct, find, least_pose_score, person_score
from depth_pose_ros.pose import Pose
from depth_pose_ros.runtime.runtime import int8_beside, make_runtime
from depth_pose_ros.weights import POSE, build_pose, load_modules, resolve

FINDER = "finder"  #: name of the person finder among a weights file's modules
_ROUNDING = 1e-5  # a score this much too low may be just enough
MIN_PERSON_SCORE = 0.5  #: default; with 0.45 more people are found, and more chairs
#: Default, metres: the shipped weights have learned people at up to 5 m, and what they find much
#: beyond is furniture as often as not.
MAX_DISTANCE = 5.5
#: Where confidence has been fitted, a pose whose joints are believed less than this in the mean is
#: nobody's, whatever its score: of rendered people one or two in a thousand have so little, of
#: false finds one in seven.
LEAST_CONFIDENCE = 0.25
SMALLEST = 32  #: pixels: no person can be made out in an image smaller than this


class DepthImageError(ValueError):
    """The depth image is not one that people can be looked for in."""


class PoseEstimator:
    """Finds people in depth images and estimates their skeletons.

    Args:
        pose: the pose network.
        finder: the person finder.
        device: "cpu", "cuda", "cuda:1", ... or "auto": a GPU where there is one.
        backend: what runs the networks: "torch", "openvino", "openvino-int8" (the FCN in whole
            numbers) or "auto", the fastest that is there.
        threads: processor threads that may work, also torch's for the whole process; None: as many
            as torch is set to.
        int8: the file of the FCN in whole numbers, if there is one.
        mirror: whether the FCN looks at everybody a second time, in the mirror: a little more
            accurate, at the price of its time.
        max_distance: metres along the optical axis; :meth:`estimate` looks for nobody farther away.
        max_people: most people per image, the surest first.
        min_person_score: whose score, of finder and pose together, is below this is taken for
            something else, and who has next to no joint that is believed; 0: everybody found stays.
        stage: how much of the method runs, for ablations: "fcn", "matchnet" or "full".

    Raises:
        ValueError: a limit out of range, an unknown stage, or a device or backend that is not
            there.
    """

    def __init__(
        self,
        pose: PoseNetwork,
        finder: Finder,
        device: str = "auto",
        max_people: int = 6,
        min_person_score: float = MIN_PERSON_SCORE,
        stage: str = "full",
        backend: str = "auto",
        threads: int | None = None,
        int8: Path | None = None,
        mirror: bool = False,
        max_distance: float = MAX_DISTANCE,
    ) -> None:
        if max_people < 1:
            raise ValueError(f"max_people must be at least 1, got {max_people}")
        if not 0 <= min_person_score <= 1:
            raise ValueError(f"min_person_score must be in [0, 1], got {min_person_score}")
        if not max_distance > 0:
            raise ValueError(f"max_distance must be above 0 m, got {max_distance}")
        if stage not in get_args(Stage):
            raise ValueError(f"stage must be one of {get_args(Stage)}, got {stage!r}")
        self.device = choose_device(device)
        self.max_people = max_people
        self.min_person_score = min_person_score
        self.max_distance = max_distance
        judged = min_person_score > 0 and pose.has_calibration
        self._least_confidence = LEAST_CONFIDENCE if judged else 0.0
        self._stage = cast(Stage, stage)
        self._finder = finder
        self._runtime = make_runtime(
            pose.eval(), finder.eval(), self.device, backend, threads, int8, mirror
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str] | None = None,
        device: str = "auto",
        max_people: int = 6,
        min_person_score: float = MIN_PERSON_SCORE,
        stage: str = "full",
        backend: str = "auto",
        threads: int | None = None,
        mirror: bool = False,
        max_distance: float = MAX_DISTANCE,
    ) -> "PoseEstimator":
        """An estimator from a weights file.

        Args:
            name_or_path: a name ("compact", the default) or a path; see
                :func:`depth_pose_ros.weights.resolve`.
            device, max_people, min_person_score, stage, backend, threads, mirror, max_distance: see
                the class.

        Raises:
            WeightsError: no such file, or not one of ours; says which and why.
            ValueError: as the class.
        """
        path = resolve(name_or_path)
        modules = load_modules(path, {POSE: build_pose, FINDER: build_finder})
        pose, finder = modules[POSE], modules[FINDER]
        assert isinstance(pose, PoseNetwork)
        assert isinstance(finder, Finder)
        return cls(
            pose,
            finder,
            device,
            max_people,
            min_person_score,
            stage,
            backend,
            threads,
            int8_beside(path),
            mirror,
            max_distance,
        )

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
        most = self.max_people
        # Some turn out to be nobody; the places of those go to fainter finds.
        finds = find(
            self._finder,
            depth,
            camera,
            most=2 * most,
            run=self._runtime.find,
            farthest=self.max_distance,
        )
        people = self._people(depth, camera, finds[:most])
        if len(people) < most:
            people += self._people(depth, camera, finds[most:])
        return _distinct(people)[:most]

    def estimate_at(
        self, depth: NDArray[np.float32], camera: Camera, finds: list[Find]
    ) -> list[Pose]:
        """Skeletons of people already found; as :meth:`estimate`."""
        return _distinct(self._people(depth, camera, finds))

    def _people(self, depth: NDArray[np.float32], camera: Camera, finds: list[Find]) -> list[Pose]:
        """A pose of every find that is a person, by the finder and the pose network together."""
        if not finds:
            return []
        frames = [crops.frame_around(f.centre) for f in finds]
        images = np.stack([crops.cut(depth, camera, frame) for frame in frames])
        places = np.stack([frame.as_array() for frame in frames])
        least = np.array([least_pose_score(f.score, self.min_person_score) for f in finds])
        output = self._runtime.poses(
            images, places, self._stage, (least - _ROUNDING).astype(np.float32)
        )
        scores = np.array(
            [person_score(f.score, float(s)) for f, s in zip(finds, output.score, strict=True)]
        )
        believed = output.confidence.mean(1).numpy() >= self._least_confidence
        (people,) = np.nonzero((scores >= self.min_person_score) & believed)
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
