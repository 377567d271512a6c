"""How well people are followed: id switches, jitter, lag.

``python -m depth_pose_training evaluate_tracking`` measures the tracker, against the estimates as
they come, on made-up tracks and, with ``--clip``, on the model's estimates of the demo's clip.

Jitter is the root mean square, over frames and joints, of how much the error (a vector) changes
from one frame to the next.  Lag is the delay of the truth that fits best.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_ros.core.tracking import Tracker, TrackerOptions
from depth_pose_ros.core.tracking.person_tracker import identify
from depth_pose_ros.demo.sources.clip import builtin_clip
from depth_pose_training.evaluation import tracking_scenes
from depth_pose_training.evaluation.tracking_scenes import (
    Scene,
    crossing,
    waving,
    write_estimates,
)

Array = NDArray[np.float64]
#: One frame's people: (id, pose).
People = Sequence[tuple[int, Pose]]

CLIP_TRUTH = Path(tracking_scenes.__file__).with_name("data") / "clip_truth.npz"
HAND = tuple(INDEX[k] for k in ("RightWrist", "RightHand"))
_SAME = 0.5  # metres, median over joints: farther is not that person
_BOUND = 0.15  # metres; lag is read from joints that were found, not from those that were not
_CUT = 5.0  # m/s: where the truth itself jumps, there is nothing to follow
_REACH = 0.2  # seconds of lag either way


@dataclass(frozen=True)
class Followed:
    """People's estimates beside the truth.

    Attributes:
        ids: (people, N), -1 where nobody was given.
        joints: (people, N, 19, 3) metres, NaN where nobody was given.
        others: how many were given, over all frames, who are nobody.
    """

    ids: NDArray[np.int64]
    joints: Array
    others: int

    @property
    def switches(self) -> int:
        """How often somebody's id was another than the time before."""
        known = [row[row >= 0] for row in self.ids]
        return int(sum((np.diff(row) != 0).sum() for row in known))

    @property
    def found(self) -> float:
        """Share of people's frames in which they were given, in per cent."""
        return float(100 * (self.ids >= 0).mean())


def follow(truth: Array, frames: Sequence[People]) -> Followed:
    """Match every frame's people with the truth (people, N, 19, 3) by position alone."""
    ids = np.full(truth.shape[:2], -1, dtype=np.int64)
    joints = np.full(truth.shape, np.nan)
    others = 0
    for t, people in enumerate(frames):
        distance = np.array(
            [
                [np.median(np.linalg.norm(pose.joints - person[t], axis=1)) for _, pose in people]
                for person in truth
            ]
        ).reshape(len(truth), len(people))
        rows, columns = linear_sum_assignment(np.minimum(distance, 10.0))
        near = distance[rows, columns] < _SAME
        for person, column in zip(rows[near], columns[near], strict=True):
            ids[person, t], joints[person, t] = people[column][0], people[column][1].joints
        others += len(people) - int(near.sum())
    return Followed(ids, joints, others)


def jitter(truth: Array, joints: Array, stamps: Array) -> float:
    """Millimetres; see the module.

    Both (people, N, joints, 3).  NaN, and steps in which the truth itself jumps, do not count.
    """
    change = np.linalg.norm(np.diff(joints - truth, axis=1), axis=-1)
    return float(1000 * np.sqrt(np.mean(np.square(change[_smooth(truth, joints, stamps)]))))


def _smooth(truth: Array, joints: Array, stamps: Array) -> NDArray[np.bool_]:
    """(people, N - 1, joints): steps between two known frames in which nobody is beamed."""
    step = np.linalg.norm(np.diff(truth, axis=1), axis=-1) / np.diff(stamps)[:, None]
    known = np.isfinite(np.diff(joints, axis=1)).all(-1)
    calm: NDArray[np.bool_] = known & (step.max(-1, keepdims=True) < _CUT)
    return calm


def lag(truth: Array, joints: Array, stamps: Array) -> float:
    """Milliseconds; see the module.  Both (people, N, joints, 3), stamps evenly spread."""
    period = float(np.diff(stamps).mean())
    reach = int(np.ceil(_REACH / period)) + 1
    calm = np.all(_smooth(truth, joints, stamps), axis=-1)
    taus = np.arange(-_REACH, _REACH + 1e-9, 1e-3)
    cost = np.zeros(len(taus))
    for person in range(len(truth)):
        frames = [
            t
            for t in range(reach, len(stamps) - reach)
            if calm[person, t - reach : t + reach].all()
        ]
        for i, tau in enumerate(taus):
            at = np.array(frames) - tau / period
            below = np.floor(at).astype(int)
            share = (at - below)[:, None, None]
            delayed = (1 - share) * truth[person, below] + share * truth[person, below + 1]
            off = np.linalg.norm(joints[person, frames] - delayed, axis=-1)
            cost[i] += np.square(np.minimum(off, _BOUND)).sum()
    return float(1000 * taus[cost.argmin()])


def error(truth: Array, joints: Array) -> float:
    """Mean distance, millimetres."""
    return float(1000 * np.nanmean(np.linalg.norm(joints - truth, axis=-1)))


def tracked(scene: Scene, settings: TrackerOptions) -> list[People]:
    """What the tracker makes of a scene."""
    tracker = Tracker(settings)
    return [
        [(person.id, person.pose) for person in tracker.update(poses, float(stamp))]
        for stamp, poses in zip(scene.stamps, scene.poses, strict=True)
    ]


def untracked(scene: Scene) -> list[People]:
    """The same without a tracker: ids from left to right in each frame."""
    return [[(p.number, p.pose) for p in identify(poses)] for poses in scene.poses]


def clip_scene(estimator: PoseEstimator) -> Scene:
    """The model's estimates of the demo's clip, with the truth."""
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


def row(name: str, scenes: Sequence[Scene], of: Callable[[Scene], list[People]]) -> str:
    """One line of the table: all joints' error and jitter, the right hand's jitter and lag.

    Errors are measured where the untracked estimate has somebody, so that lines compare: a tracker
    also gives those who are hidden for a moment.
    """
    switches = others = 0
    numbers = []
    for scene in scenes:
        result = follow(scene.truth, of(scene))
        seen = follow(scene.truth, untracked(scene)).ids >= 0
        joints = np.where(seen[..., None, None], result.joints, np.nan)
        hand = scene.truth[:, :, HAND], joints[:, :, HAND], scene.stamps
        switches += result.switches
        others += result.others
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
    return f"{name:<24}{switches:>9}{others:>8}" + "".join(f"{value:>10.1f}" for value in mean)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", action="store_true", help="also the demo's clip (minutes)")
    parser.add_argument("--model", help="name or path of the weights for the clip")
    parser.add_argument("--record", type=Path, help="keep the clip's estimates in this .npz")
    parser.add_argument("--scenes", type=int, default=20, help="made-up tracks of each kind")
    parser.add_argument("--smoothing", type=float, default=TrackerOptions.smoothing)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    settings = TrackerOptions(smoothing=args.smoothing)
    kinds = {
        "two cross": [crossing(seed) for seed in range(args.scenes)],
        "four cross": [crossing(seed, people=4) for seed in range(args.scenes)],
        "two cross at 10 Hz": [crossing(seed, fps=10) for seed in range(args.scenes)],
        "a hand waves": [waving(seed) for seed in range(args.scenes)],
    }
    if args.clip:
        scene = clip_scene(PoseEstimator.from_pretrained(args.model, device="cpu"))
        kinds["clip"] = [scene]
        if args.record is not None:
            write_estimates(args.record, scene.poses)
    columns = ("found %", "error mm", "jitter mm", "its hand", "lag ms")
    print(f"{'':<24}{'switches':>9}{'nobody':>8}" + "".join(f"{c:>10}" for c in columns))
    for name, scenes in kinds.items():
        print(row(f"{name}, raw", scenes, untracked))
        print(row(f"{name}, tracked", scenes, lambda scene: tracked(scene, settings)))
