"""Evaluate a model on crowds: recall, false positives and hands confused between people.

Frames of a Kinect v2 with two to six people, close together, partly occluded and cut off by the
image's edge: rendered with held-out motion capture (deterministic for a seed), or read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core import drawing
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.configs.groups import CommonOptions
from depth_pose_training.data.datasets import LabelledFrame
from depth_pose_training.data.datasets.synthetic import FOCAL, SyntheticShards, whole_frame
from depth_pose_training.data.people import match_people, torso_centre
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.labelled_frames import load_estimator
from depth_pose_training.evaluation.pictures import TRUTH
from depth_pose_training.evaluation.predictions import Estimator
from depth_pose_training.evaluation.report import plain, ratio, results_table, write_json
from depth_pose_training.learning import metrics

Array = NDArray[np.float64]
NUMBERS = (2, 3, 4, 5, 6)  #: numbers of counted people that have a row in the report
#: A hand is swapped if it is at most this far from a neighbour's hand, metres, and nearer to it
#: than to its own person's hands.
SWAP_DISTANCE = 0.15
_HANDS = [INDEX[s + k] for s in ("Right", "Left") for k in ("Wrist", "Hand")]
_MAX_SCENES = 40  # rendered scenes for each requested frame


@dataclass(frozen=True)
class Crowd:
    """Estimates of one frame.

    Attributes:
        frame: the image and all people in it.
        poses: the estimates.
        match: (N,) index of the person of every pose, -1 for false positives; 0 is the labelled
            person.
    """

    frame: LabelledFrame
    poses: Sequence[Pose]
    match: NDArray[np.int64]

    @property
    def found(self) -> list[tuple[Pose, int]]:
        """Poses of counted people, with the indices of the people."""
        counted = self.frame.counted
        pairs = zip(self.poses, self.match, strict=True)
        return [(pose, int(k)) for pose, k in pairs if k >= 0 and counted[k]]


def evaluate(estimator: Estimator, frame: LabelledFrame) -> Crowd:
    """Estimate the people of a frame and match them with the labels by position."""
    poses = estimator.estimate(frame.depth, frame.camera)
    estimates, people = (
        np.array([torso_centre(j) for j in joints]).reshape(-1, 3)
        for joints in ([p.joints for p in poses], frame.joints)
    )
    return Crowd(frame, poses, match_people(estimates, people))


def swapped_joints(pose: NDArray[np.floating], people: Array, person: int) -> NDArray[np.bool_]:
    """(4,) bool, wrists and hands of a pose (19, 3) that lie on a neighbour's.

    Args:
        pose: metres.
        people: (P, 19, 3) metres, all people in the frame; NaN where unknown.
        person: index of the pose's person.
    """
    distance = np.linalg.norm(pose[_HANDS][:, None, None] - people[:, _HANDS][None], axis=-1)
    nearest = np.where(np.isnan(distance), np.inf, distance).min(-1)  # (4, P)
    own = nearest[:, person].copy()
    nearest[:, person] = np.inf
    other = nearest.min(1)
    return np.asarray((other < SWAP_DISTANCE) & (other < own))


def measure(crowds: Sequence[Crowd]) -> dict:
    """Numbers by name, plain types only; None where nothing was measured."""
    people = found = false = 0
    distances: list[Array] = []
    hands: list[NDArray[np.bool_]] = []
    for crowd in crowds:
        people += int(crowd.frame.counted.sum())
        found += len(crowd.found)
        false += int((crowd.match < 0).sum())
        for pose, k in crowd.found:
            pixels, inside = _true_pixels(crowd.frame, k)
            distances.append(
                metrics.normalized_distances(pose.pixels[None], pixels[None], inside[None], "Neck")
            )
            hands.append(swapped_joints(pose.joints, crowd.frame.joints, k))
    near = np.concatenate(distances or [np.full((1, NUM_JOINTS), np.nan)])
    pdj = metrics.pdj(near)
    return {
        "frames": len(crowds),
        "people": people,
        "recall": ratio(found, people),
        "false_per_frame": ratio(false, len(crowds)),
        "pdj_10": plain(pdj[metrics.PDJ_THRESHOLDS.index(0.10)], 4),
        "pdj_average": plain(pdj.mean(), 4),
        "hands_on_a_neighbour": plain(float(np.mean(hands)), 4) if hands else None,
    }


def summarize(crowds: Sequence[Crowd]) -> dict[str, dict]:
    """:func:`measure` by the number of counted people, and of all frames as row "all"."""
    rows = {str(n): [c for c in crowds if c.frame.counted.sum() == n] for n in NUMBERS}
    return {name: measure(some) for name, some in {**rows, "all": list(crowds)}.items() if some}


def table(rows: dict[str, dict]) -> str:
    """The numbers as text."""
    return results_table("people", rows)


def rendered(motion: Sequence[Path], each: int, seed: int) -> Iterator[LabelledFrame]:
    """Render ``each`` Kinect v2 frames for every number in :data:`NUMBERS`, of held-out clips.

    Frames with another number of counted people are discarded.  The number of rendered scenes is
    limited, so that there may be fewer frames.
    """
    # Imported here because loading the body model takes seconds.
    from depth_pose_training.data.synthetic import mocap
    from depth_pose_training.data.synthetic.config import GeneratorConfig, PeopleConfig
    from depth_pose_training.data.synthetic.samples import Generator

    clips = [c for p in motion for c in mocap.split(mocap.load_clips(p), validation=True)]
    cameras = replace(
        GeneratorConfig().cameras,
        sensors={"kinect_v2": 1.0},
        distance=(1.0, 5.0),
        near=0.0,
        views=1,
    )
    for number in NUMBERS:
        # Some people are hidden or do not fit: request one more.
        people = PeopleConfig(number=(0.0,) * number + (0.5, 0.5), mocap=0.5 if clips else 0.0)
        generator = Generator(
            clips, config=replace(GeneratorConfig(), people=people, cameras=cameras)
        )
        made = 0
        for i, view in enumerate(generator.frames((seed, number), (FOCAL, FOCAL))):
            frame = whole_frame(view, f"{number}/{i:05d}")
            if frame.counted.sum() == number:
                made += 1
                yield frame
            if made == each or i + 1 == each * _MAX_SCENES:
                break


def picture(crowd: Crowd) -> drawing.Image:
    """The estimates over the depth; missed people have a green spine."""
    frame = crowd.frame
    image = drawing.colorize(frame.depth, 0.5, 6.0)
    for pose in crowd.poses:
        drawing.draw_skeleton(image, pose.pixels, pose.confidence)
    missed = frame.counted
    missed[crowd.match[crowd.match >= 0]] = False
    for joints in frame.joints[missed]:
        line = frame.camera.project(joints[:5]).round().astype(int)
        cv2.polylines(image, [line.reshape(-1, 1, 2)], False, TRUTH, 2)
    return image


def _true_pixels(frame: LabelledFrame, person: int) -> tuple[Array, NDArray[np.bool_]]:
    """(19, 2) true pixels and (19,) bool, joints in the image."""
    joints, camera = frame.joints[person], frame.camera
    pixels = np.full((NUM_JOINTS, 2), np.nan)
    known = np.isfinite(joints).all(1) & (joints[:, 2] > 0.1)
    pixels[known] = camera.project(joints[known])
    size = (camera.width, camera.height)
    return pixels, known & np.asarray((pixels >= 0) & (pixels < size)).all(1)


def _errors(crowd: Crowd) -> int:
    """Rank of a frame among the worst: missed people, false positives, swapped hands."""
    missed = int(crowd.frame.counted.sum()) - len(crowd.found)
    swaps = (swapped_joints(p.joints, crowd.frame.joints, k).sum() for p, k in crowd.found)
    return 2 * missed + 2 * int((crowd.match < 0).sum()) + int(sum(swaps))


@dataclass(frozen=True)
class CrowdOptions(CommonOptions):
    """Options of the step."""

    motion: tuple[Path, ...] = option("motion capture (.npz) of the people to render", ())
    root: Path | None = option("folder of shards to read instead of rendering", None)
    each: int = option("rendered frames for each number of people", 30)
    weights: str | None = option("name or path of the weights (default: the shipped model)", None)
    min_person_score: float | None = option("option of the estimator (default: its own)", None)
    out: Path | None = option("folder for crowds.json and pictures of the worst frames", None)
    pictures: int = option("number of pictures", 12)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(CrowdOptions, argv, "evaluate_crowds")
    torch.set_num_threads(options.threads)
    frames: Iterable[LabelledFrame]
    if options.motion and options.root is None:
        frames = rendered(options.motion, options.each, options.seed)
    elif options.root is not None and not options.motion:
        frames = (f for f in SyntheticShards(options.root) if f.counted.sum() > 1)
    else:
        raise UserError("give either --motion or --root")
    score = options.min_person_score
    chosen: dict[str, Any] = {} if score is None else {"min_person_score": score}
    estimator = load_estimator(options.weights, threads=options.threads, **chosen)
    crowds = [evaluate(estimator, frame) for frame in tqdm(frames, unit="frame")]
    if not crowds:
        raise UserError("there are no frames with two or more counted people")
    rows = summarize(crowds)
    print(table(rows))
    if options.out is not None:
        write_json(options.out / "crowds.json", rows)
        worst = sorted(crowds, key=_errors, reverse=True)[: options.pictures]
        if worst:
            sheet = drawing.montage([picture(c) for c in worst], 4)
            cv2.imwrite(str(options.out / "worst.png"), sheet)
