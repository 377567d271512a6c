"""Running an estimator over labelled frames."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.camera import Camera
from depth_pose_ros.pose import Pose
from depth_pose_ros.skeleton import NUM_JOINTS
from depth_pose_training.datasets.base import LabelledFrame

Array = NDArray[np.float64]


class Estimator(Protocol):
    """What is evaluated: depth_pose_ros' PoseEstimator, or anything with its one method."""

    def estimate(self, depth: NDArray[np.float32], camera: Camera) -> Sequence[Pose]: ...


@dataclass(frozen=True)
class Predictions:
    """Truth and estimates of N frames side by side.

    Attributes:
        keys: N names of frames.
        cameras: N intrinsics.
        true_joints: (N, 19, 3) metres, optical frame; NaN where unknown.
        true_pixels: (N, 19, 2); NaN where unknown.
        valid: (N, 19) bool, joints with trusted truth.
        joints: (N, 19, 3) metres, optical frame, of the best-scoring person; NaN where nobody was
            found.
        pixels: (N, 19, 2), the same person.
        people: (N,) how many people were found.
        seconds: (N,) wall time of the estimate.
    """

    keys: list[str]
    cameras: list[Camera]
    true_joints: Array
    true_pixels: Array
    valid: NDArray[np.bool_]
    joints: Array
    pixels: Array
    people: NDArray[np.int64]
    seconds: Array

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def found(self) -> NDArray[np.bool_]:
        """(N,) bool: frames in which anybody was found."""
        return self.people > 0


@dataclass
class _Collected:
    joints: list[NDArray] = field(default_factory=list)
    pixels: list[NDArray] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def predict(
    estimators: Mapping[str, Estimator],
    frames: Iterable[LabelledFrame],
    total: int | None = None,
    progress: bool = False,
) -> dict[str, Predictions]:
    """Run every estimator on every whole frame; each frame is read once.

    The best-scoring person of a frame is taken, whoever it is: choosing the one nearest to the
    truth would use what a robot does not know.

    Args:
        estimators: by name.
        frames: any iterable of labelled frames.
        total: their number, for the progress bar.
        progress: show a progress bar.

    Returns:
        Predictions by the estimators' names.

    Raises:
        ValueError: there are no frames.
    """
    truth: list[tuple[str, Camera, NDArray, NDArray, NDArray]] = []
    collected = {name: _Collected() for name in estimators}
    for frame in tqdm(frames, total=total, unit="frame", disable=not progress):
        truth.append((frame.key, frame.camera, frame.joints, frame.pixels, frame.valid))
        for name, estimator in estimators.items():
            _estimate(estimator, frame, collected[name])
    if not truth:
        raise ValueError("there are no frames to evaluate on")
    keys, cameras, joints, pixels, valid = zip(*truth, strict=True)
    return {
        name: Predictions(
            keys=list(keys),
            cameras=list(cameras),
            true_joints=np.array(joints, dtype=np.float64),
            true_pixels=np.array(pixels, dtype=np.float64),
            valid=np.array(valid, dtype=bool),
            joints=np.array(c.joints, dtype=np.float64),
            pixels=np.array(c.pixels, dtype=np.float64),
            people=np.array(c.people, dtype=np.int64),
            seconds=np.array(c.seconds, dtype=np.float64),
        )
        for name, c in collected.items()
    }


def _estimate(estimator: Estimator, frame: LabelledFrame, into: _Collected) -> None:
    start = time.perf_counter()
    poses = estimator.estimate(frame.depth, frame.camera)
    into.seconds.append(time.perf_counter() - start)
    into.people.append(len(poses))
    if poses:
        best = max(poses, key=lambda pose: pose.score)
        into.joints.append(best.joints)
        into.pixels.append(best.pixels)
    else:
        into.joints.append(np.full((NUM_JOINTS, 3), np.nan))
        into.pixels.append(np.full((NUM_JOINTS, 2), np.nan))
