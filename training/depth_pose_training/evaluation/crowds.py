"""How well crowds are told apart: ``python -m depth_pose_training evaluate_crowds --help``.

Two to six people in one frame of a Kinect v2, close together, partly behind each other and cut by
the image's edge: rendered with held-out motion (the same for the same seed), or read.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core import drawing
from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data.datasets import LabelledFrame
from depth_pose_training.data.datasets.synthetic import FOCAL, SyntheticShards, whole_frame
from depth_pose_training.data.people import match_people, torso_centre
from depth_pose_training.evaluation.pictures import TRUTH
from depth_pose_training.evaluation.predictions import Estimator
from depth_pose_training.learning import metrics

Array = NDArray[np.float64]
NUMBERS = (2, 3, 4, 5, 6)  #: people to be found in a frame that are reported
#: A hand this near to a neighbour's, metres, and nearer than to one of its own, is a stolen one.
STOLEN = 0.15
_HANDS = [INDEX[s + k] for s in ("Right", "Left") for k in ("Wrist", "Hand")]
_PATIENCE = 40  # scenes tried for each frame wanted


@dataclass(frozen=True)
class Crowd:
    """What an estimator did in one frame.

    Attributes:
        frame: the image and all people in it.
        poses: what was estimated.
        who: (N,) index of the person that every pose is, -1 for nobody; 0 is the labelled one.
    """

    frame: LabelledFrame
    poses: Sequence[Pose]
    who: NDArray[np.int64]

    @property
    def people(self) -> Array:
        """(P, 19, 3) metres."""
        return self.frame.joints

    @property
    def asked(self) -> NDArray[np.bool_]:
        """(P,) who is to be found: six joints or more in sight, one of the torso's among them."""
        return self.frame.counted

    @property
    def found(self) -> list[tuple[Pose, int]]:
        """Poses of people who were to be found, with their indices."""
        asked = self.asked
        return [
            (p, int(k)) for p, k in zip(self.poses, self.who, strict=True) if k >= 0 and asked[k]
        ]


def look(estimator: Estimator, frame: LabelledFrame) -> Crowd:
    """Estimate a frame's people, and match them with the true ones by place."""
    poses = estimator.estimate(frame.depth, frame.camera)
    people = np.array([torso_centre(j) for j in frame.joints]).reshape(-1, 3)
    return Crowd(
        frame,
        poses,
        match_people(np.array([torso_centre(p.joints) for p in poses]).reshape(-1, 3), people),
    )


def stolen(pose: NDArray[np.floating], people: Array, who: int) -> NDArray[np.bool_]:
    """(4,) which wrists and hands of a pose (19, 3) lie on a neighbour's.

    Args:
        pose: metres.
        people: (P, 19, 3) metres, everybody in the frame; NaN where unknown.
        who: the person that the pose is.
    """
    places = people[:, _HANDS]
    distance = np.linalg.norm(pose[_HANDS][:, None, None] - places[None], axis=-1)
    nearest = np.where(np.isnan(distance), np.inf, distance).min(-1)  # (4, P)
    own = nearest[:, who].copy()
    nearest[:, who] = np.inf
    other = nearest.min(1)
    return np.asarray((other < STOLEN) & (other < own))


def measure(crowds: Sequence[Crowd]) -> dict:
    """Numbers by name, plain types only; None where nothing was measured."""
    people = found = false = 0
    distances: list[Array] = []
    hands: list[NDArray[np.bool_]] = []
    for crowd in crowds:
        people += int(crowd.asked.sum())
        found += len(crowd.found)
        false += int((crowd.who < 0).sum())
        for pose, k in crowd.found:
            pixels, inside = _seen(crowd, k)
            distances.append(
                metrics.normalized_distances(pose.pixels[None], pixels[None], inside[None], "Neck")
            )
            hands.append(stolen(pose.joints, crowd.people, k))
    near = np.concatenate(distances or [np.full((1, NUM_JOINTS), np.nan)])
    pdj = metrics.pdj(near)
    return {
        "frames": len(crowds),
        "people": people,
        "recall": _share(found, people),
        "false_per_frame": _share(false, len(crowds)),
        "pdj_10": _plain(pdj[metrics.PDJ_THRESHOLDS.index(0.10)]),
        "pdj_average": _plain(pdj.mean()),
        "hands_on_a_neighbour": _plain(float(np.mean(hands))) if hands else None,
    }


def report(crowds: Sequence[Crowd]) -> dict[str, dict]:
    """:func:`measure` by the number of people to be found, and of all together."""
    rows = {str(n): [c for c in crowds if c.asked.sum() == n] for n in NUMBERS}
    return {name: measure(some) for name, some in {**rows, "all": list(crowds)}.items() if some}


def table(rows: dict[str, dict]) -> str:
    """The numbers as text."""
    names = list(next(iter(rows.values())))
    lines = [f"{'to find':<8}" + "".join(f"{n:>{len(n) + 2}}" for n in names)]
    for name, row in rows.items():
        cells = ["-" if row[n] is None else f"{row[n]:.4g}" for n in names]
        lines.append(
            f"{name:<8}" + "".join(f"{c:>{len(n) + 2}}" for c, n in zip(cells, names, strict=True))
        )
    return "\n".join(lines)


def rendered(motion: Sequence[Path], each: int, seed: int) -> Iterator[LabelledFrame]:
    """``each`` frames for every one of :data:`NUMBERS`, before a Kinect v2, of held-out clips.

    A frame counts by how many of its people are to be found; what is too many is thrown away.
    Fewer come where a full room is not to be had in reasonable time.
    """
    # Only rendering needs bodies, which take a moment to load.
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
        # Some of those who are asked in are hidden or find no place: ask for one more.
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
            if made == each or i + 1 == each * _PATIENCE:
                break


def picture(crowd: Crowd) -> drawing.Image:
    """The estimate over the depth; a green spine for everybody who was to be found and was not."""
    image = drawing.colorize(crowd.frame.depth, 0.5, 6.0)
    for pose in crowd.poses:
        drawing.draw_skeleton(image, pose.pixels, pose.confidence)
    missed = crowd.asked
    missed[crowd.who[crowd.who >= 0]] = False
    for joints in crowd.people[missed]:
        line = crowd.frame.camera.project(joints[:5]).round().astype(int)
        cv2.polylines(image, [line.reshape(-1, 1, 2)], False, TRUTH, 2)
    return image


def _seen(crowd: Crowd, who: int) -> tuple[Array, NDArray[np.bool_]]:
    """(19, 2) true pixels and (19,) which of them are in the image."""
    joints, camera = crowd.people[who], crowd.frame.camera
    pixels = np.full((NUM_JOINTS, 2), np.nan)
    known = np.isfinite(joints).all(1) & (joints[:, 2] > 0.1)
    pixels[known] = camera.project(joints[known])
    size = (camera.width, camera.height)
    return pixels, known & np.asarray((pixels >= 0) & (pixels < size)).all(1)


def _bad(crowd: Crowd) -> int:
    missed = int(crowd.asked.sum()) - len(crowd.found)
    taken = sum(int(stolen(p.joints, crowd.people, k).sum()) for p, k in crowd.found)
    return 2 * missed + 2 * int((crowd.who < 0).sum()) + taken


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _plain(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m depth_pose_training evaluate_crowds", description=__doc__
    )
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--motion", type=Path, nargs="+", help="render, with these mocap .npz files"
    )
    source.add_argument("--root", type=Path, help="read the frames of a folder of shards")
    add("--each", type=int, default=30, help="rendered frames per number of people")
    add("--seed", type=int, default=0, help="of rendered frames")
    add("--weights", help="name or path of the weights (default: the shipped ones)")
    add("--min-person-score", type=float, help="default: the estimator's")
    add("--threads", type=int, default=2)
    add("--out", type=Path, help="folder for crowds.json and pictures of the worst frames")
    add("--pictures", type=int, default=12, help="how many")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    chosen = {} if args.min_person_score is None else {"min_person_score": args.min_person_score}
    frames: Iterable[LabelledFrame]
    try:
        estimator = PoseEstimator.from_pretrained(
            args.weights, device="cpu", threads=args.threads, **chosen
        )
        frames = (
            rendered(args.motion, args.each, args.seed)
            if args.motion
            else (f for f in SyntheticShards(args.root) if f.counted.sum() > 1)
        )
        crowds = [look(estimator, frame) for frame in tqdm(frames, unit="frame")]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    rows = report(crowds)
    if not rows:
        parser.error("no frame has two people or more to be found")
    print(table(rows))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "crowds.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        worst = sorted(crowds, key=_bad, reverse=True)[: args.pictures]
        if worst:
            sheet = drawing.montage([picture(c) for c in worst], 4)
            cv2.imwrite(str(args.out / "worst.png"), sheet)
    return 0
