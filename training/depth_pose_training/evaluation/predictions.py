"""Running an estimator over labelled frames."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.datasets.base import LabelledFrame
from depth_pose_training.data.people import match_people, torso_centre

Array = NDArray[np.float64]


class Estimator(Protocol):
    """Interface of evaluated estimators, see :class:`depth_pose_ros.PoseEstimator`."""

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
        joints: (N, 19, 3) metres, optical frame, estimate of the labelled person, see
            :func:`predict`; NaN where there is none.
        pixels: (N, 19, 2), the same person.
        people: (N,) number of estimated people.
        counted: (N,) number of people that count in the evaluation.
        matched: (N,) number of these with an estimate.
        false: (N,) number of false positives.
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
    counted: NDArray[np.int64]
    matched: NDArray[np.int64]
    false: NDArray[np.int64]
    seconds: Array

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N,) bool: frames with a labelled person."""
        return np.asarray(self.valid.any(1))

    @property
    def found(self) -> NDArray[np.bool_]:
        """(N,) bool: frames with an estimate of the labelled person."""
        return np.asarray(np.isfinite(self.joints).all((1, 2)))


@dataclass
class _Collected:
    joints: list[NDArray] = field(default_factory=list)
    pixels: list[NDArray] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    counts: list[tuple[int, int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def predict(
    estimators: Mapping[str, Estimator],
    frames: Iterable[LabelledFrame],
    total: int | None = None,
    progress: bool = False,
) -> dict[str, Predictions]:
    """Run every estimator on every whole frame; each frame is read once.

    In frames with one person, the estimate with the highest score is compared with the label: the
    nearest one would use the truth.  In frames with several people, or without a counted person,
    estimates are matched with people by the distance of their torso centres.

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
        target = frame.target
        truth.append((frame.key, frame.camera, target.joints, target.pixels, target.valid))
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
            counted=np.array([n for n, _, _ in c.counts], dtype=np.int64),
            matched=np.array([n for _, n, _ in c.counts], dtype=np.int64),
            false=np.array([n for _, _, n in c.counts], dtype=np.int64),
            seconds=np.array(c.seconds, dtype=np.float64),
        )
        for name, c in collected.items()
    }


def _estimate(estimator: Estimator, frame: LabelledFrame, into: _Collected) -> None:
    start = time.perf_counter()
    poses = estimator.estimate(frame.depth, frame.camera)
    into.seconds.append(time.perf_counter() - start)
    into.people.append(len(poses))
    centres = np.array([torso_centre(j) for j in frame.joints]).reshape(-1, 3)
    counted = frame.counted
    labelled = bool(counted.any())  # then the first person is the labelled one
    if labelled and not np.isfinite(centres[0]).all():  # 2-D labels only
        match = np.zeros(len(poses), int) - 1
        match[:1] = 0
    else:
        match = match_people(
            np.array([torso_centre(p.joints) for p in poses]).reshape(-1, 3), centres
        )
    into.counts.append(
        (int(counted.sum()), int(counted[match[match >= 0]].sum()), int((match < 0).sum()))
    )
    if len(frame.people) != 1 or not labelled:
        chosen = [p for p, person in zip(poses, match, strict=True) if person == 0 and labelled]
    else:
        chosen = sorted(poses, key=lambda pose: -pose.score)
    if chosen:
        into.joints.append(chosen[0].joints)
        into.pixels.append(chosen[0].pixels)
    else:
        into.joints.append(np.full((NUM_JOINTS, 3), np.nan))
        into.pixels.append(np.full((NUM_JOINTS, 2), np.nan))
