"""Evaluate the tracker: id switches, jitter and latency, against the untracked estimates.

Measured on simulated tracks and, with ``--clip``, on the model's estimates of the demo's clip.
Jitter is the root mean square, over frames and joints, of the change of the error vector from one
frame to the next.  Lag is the delay of the truth that fits the estimates best.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_ros.core.tracking import Tracker, TrackerOptions
from depth_pose_ros.core.tracking.person_tracker import identify
from depth_pose_ros.demo.sources.clip import builtin_clip
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.evaluation import tracking_scenes
from depth_pose_training.evaluation.labelled_frames import load_estimator
from depth_pose_training.evaluation.predictions import Estimator
from depth_pose_training.evaluation.report import markdown_table, number
from depth_pose_training.evaluation.tracking_scenes import (
    Scene,
    crossing,
    waving,
    write_estimates,
)

Array = NDArray[np.float64]
#: (id, pose) of every person in a frame.
People = Sequence[tuple[int, Pose]]

CLIP_TRUTH = Path(tracking_scenes.__file__).with_name("data") / "clip_truth.npz"
HAND = tuple(INDEX[k] for k in ("RightWrist", "RightHand"))
_MATCH_DISTANCE = 0.5  # metres, maximum median distance of the joints
_MAX_ERROR = 0.15  # metres; larger errors are clipped when the lag is fitted
_MAX_SPEED = 5.0  # m/s; faster motion of the truth is a jump and left out
_MAX_LAG = 0.2  # seconds, positive or negative


@dataclass(frozen=True)
class TrackingResult:
    """Estimates matched with the true people.

    Attributes:
        ids: (people, N), -1 where missing.
        joints: (people, N, 19, 3) metres, NaN where missing.
        false: number of false positives over all frames.
    """

    ids: NDArray[np.int64]
    joints: Array
    false: int

    @property
    def switches(self) -> int:
        """Number of id switches."""
        known = [row[row >= 0] for row in self.ids]
        return int(sum((np.diff(row) != 0).sum() for row in known))

    @property
    def found(self) -> float:
        """Percentage of the people's frames with an estimate."""
        return float(100 * (self.ids >= 0).mean())


def match_tracks(truth: Array, frames: Sequence[People]) -> TrackingResult:
    """Match every frame's estimates with the truth (people, N, 19, 3) by position only."""
    ids = np.full(truth.shape[:2], -1, dtype=np.int64)
    joints = np.full(truth.shape, np.nan)
    false = 0
    for t, people in enumerate(frames):
        distance = np.array(
            [
                [np.median(np.linalg.norm(pose.joints - person[t], axis=1)) for _, pose in people]
                for person in truth
            ]
        ).reshape(len(truth), len(people))
        rows, columns = linear_sum_assignment(np.minimum(distance, 10.0))
        near = distance[rows, columns] < _MATCH_DISTANCE
        for person, column in zip(rows[near], columns[near], strict=True):
            ids[person, t], joints[person, t] = people[column][0], people[column][1].joints
        false += len(people) - int(near.sum())
    return TrackingResult(ids, joints, false)


def jitter(truth: Array, joints: Array, stamps: Array) -> float:
    """Millimetres; see the module.

    Both (people, N, joints, 3).  NaN and jumps of the truth do not count.
    """
    change = np.linalg.norm(np.diff(joints - truth, axis=1), axis=-1)
    return float(1000 * np.sqrt(np.mean(np.square(change[_smooth(truth, joints, stamps)]))))


def _smooth(truth: Array, joints: Array, stamps: Array) -> NDArray[np.bool_]:
    """(people, N - 1, joints): steps between two known frames without implausible jumps."""
    step = np.linalg.norm(np.diff(truth, axis=1), axis=-1) / np.diff(stamps)[:, None]
    known = np.isfinite(np.diff(joints, axis=1)).all(-1)
    smooth: NDArray[np.bool_] = known & (step.max(-1, keepdims=True) < _MAX_SPEED)
    return smooth


def lag(truth: Array, joints: Array, stamps: Array) -> float:
    """Milliseconds; see the module.  Both (people, N, joints, 3), stamps evenly spaced."""
    period = float(np.diff(stamps).mean())
    reach = int(np.ceil(_MAX_LAG / period)) + 1
    smooth = np.all(_smooth(truth, joints, stamps), axis=-1)
    taus = np.arange(-_MAX_LAG, _MAX_LAG + 1e-9, 1e-3)
    cost = np.zeros(len(taus))
    for person in range(len(truth)):
        frames = [
            t
            for t in range(reach, len(stamps) - reach)
            if smooth[person, t - reach : t + reach].all()
        ]
        for i, tau in enumerate(taus):
            at = np.array(frames) - tau / period
            below = np.floor(at).astype(int)
            share = (at - below)[:, None, None]
            delayed = (1 - share) * truth[person, below] + share * truth[person, below + 1]
            distance = np.linalg.norm(joints[person, frames] - delayed, axis=-1)
            cost[i] += np.square(np.minimum(distance, _MAX_ERROR)).sum()
    return float(1000 * taus[cost.argmin()])


def error(truth: Array, joints: Array) -> float:
    """Mean distance, millimetres."""
    return float(1000 * np.nanmean(np.linalg.norm(joints - truth, axis=-1)))


def tracked(scene: Scene, settings: TrackerOptions) -> list[People]:
    """The tracker's output for a scene."""
    tracker = Tracker(settings)
    return [
        [(person.id, person.pose) for person in tracker.update(poses, float(stamp))]
        for stamp, poses in zip(scene.stamps, scene.poses, strict=True)
    ]


def untracked(scene: Scene) -> list[People]:
    """The estimates of a scene without a tracker: ids from left to right in each frame."""
    return [[(p.number, p.pose) for p in identify(poses)] for poses in scene.poses]


def clip_scene(estimator: Estimator) -> Scene:
    """The estimates of the demo's clip, with the truth."""
    clip = builtin_clip()
    poses = [
        estimator.estimate(frame.depth.astype(np.float32) / 1000, clip.camera)
        for frame in tqdm(clip, total=len(clip), unit="frame")
    ]
    return with_clip_truth(poses)


def with_clip_truth(poses: Sequence[Sequence[Pose]]) -> Scene:
    """Estimates of the demo's clip, one list per frame, as a scene."""
    with np.load(CLIP_TRUTH) as data:
        truth, fps = data["joints"].astype(np.float64), float(data["fps"])
    return Scene(np.arange(truth.shape[1]) / fps, truth, poses)


def row(name: str, scenes: Sequence[Scene], track: Callable[[Scene], list[People]]) -> list[str]:
    """One row of the table: all joints' error and jitter, the right hand's jitter and lag.

    Errors are measured where the untracked estimate has the person, so that rows are comparable: a
    tracker also predicts people who are hidden for a moment.
    """
    switches = false = 0
    numbers = []
    for scene in scenes:
        result = match_tracks(scene.truth, track(scene))
        known = match_tracks(scene.truth, untracked(scene)).ids >= 0
        joints = np.where(known[..., None, None], result.joints, np.nan)
        hand = scene.truth[:, :, HAND], joints[:, :, HAND], scene.stamps
        switches += result.switches
        false += result.false
        numbers.append(
            (
                result.found,
                error(scene.truth, joints),
                jitter(scene.truth, joints, scene.stamps),
                jitter(*hand),
                lag(*hand),
            )
        )
    mean = np.mean(numbers, axis=0)
    return [name, str(switches), str(false), *map(number, mean)]


@dataclass(frozen=True)
class TrackingOptions:
    """Options of the step."""

    clip: bool = option("also evaluate on the demo's clip (takes minutes)", False)
    model: str | None = option("name or path of the weights for the clip", None)
    record: Path | None = option("write the estimates of the clip to this .npz file", None)
    scenes: int = option("number of simulated scenes of each kind", 20)
    smoothing: float = option("option of the tracker", TrackerOptions.smoothing)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(TrackingOptions, argv, "evaluate_tracking")
    torch.set_num_threads(1)
    tracker, seeds = TrackerOptions(smoothing=options.smoothing), range(options.scenes)
    kinds = {
        "two people cross": [crossing(seed) for seed in seeds],
        "four people cross": [crossing(seed, people=4) for seed in seeds],
        "two people cross at 10 Hz": [crossing(seed, fps=10) for seed in seeds],
        "waving hand": [waving(seed) for seed in seeds],
    }
    if options.clip:
        scene = clip_scene(load_estimator(options.model))
        kinds["clip"] = [scene]
        if options.record is not None:
            write_estimates(options.record, scene.poses)
    rows = []
    for name, scenes in kinds.items():
        rows.append(row(f"{name}, untracked", scenes, untracked))
        rows.append(row(f"{name}, tracked", scenes, lambda scene: tracked(scene, tracker)))
    columns = ("scene", "id switches", "false positives", "found %", "error mm", "jitter mm")
    print(markdown_table([*columns, "hand jitter mm", "hand lag ms"], rows))
