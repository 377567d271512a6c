"""How well people are found: ``python -m depth_pose_training evaluate_detector --help``.

On whole frames of any dataset: recall by distance in frames with one person, recall of all people,
and finds where nobody is, in empty rooms and in others.  Of the person detector alone, or with
``--estimator`` of what a user gets: people whose poses are looked at, too.  With ``--geometry`` a
detector that has learned nothing but sizes takes the network's place.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core.detection import MIN_SCORE, Detection, detect
from depth_pose_ros.core.estimator import DETECTOR, PoseEstimator
from depth_pose_ros.core.models.detector import PersonDetector, build_detector
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.core.weights import load_modules, resolve
from depth_pose_training.data import datasets, evenly_spaced
from depth_pose_training.data.datasets import LabelledFrame, registry
from depth_pose_training.data.people import match_people, torso_centre
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.geometric_detector import GeometricDetector
from depth_pose_training.evaluation.predictions import Estimator

#: Edges of the distances that recall is reported by, metres.
DISTANCES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
#: A person is whole in the image with so many joints inside.
WHOLE = 15
_MEASURED = 500  # frames that people's sizes are learned from


@dataclass(frozen=True)
class Counts:
    """What a detector did in N frames.

    Attributes:
        people: (N,) to be found.
        found: (N,) of them.
        false: (N,) finds where nobody is.
        distance: (N,) metres to the labelled person, NaN where there is none.
        inside: (N,) how many of that person's joints are in the image.
        alone: (N,) bool, whether there is nobody else, not even hidden.
        error: distances of finds from the people they match, metres.
    """

    people: NDArray[np.int64]
    found: NDArray[np.int64]
    false: NDArray[np.int64]
    distance: NDArray[np.float64]
    inside: NDArray[np.int64]
    alone: NDArray[np.bool_]
    error: list[float]


@dataclass(frozen=True)
class Seen:
    """One frame without its image: who is there, and what was found.

    Attributes:
        people: (P, 3) metres, the middles of torsos; counted people first.
        asked: (P,) bool, who is to be found.
        inside: how many of the labelled person's joints are in the image.
        finds: surest first.
    """

    people: NDArray[np.float64]
    asked: NDArray[np.bool_]
    inside: int
    finds: Sequence[Detection]


def look(
    detector: Callable[[LabelledFrame], Sequence[Detection]], frames: Iterable[LabelledFrame]
) -> list[Seen]:
    """Run a detector on frames."""
    return [
        Seen(
            np.array([torso_centre(j) for j in frame.joints]).reshape(-1, 3),
            frame.counted,
            int(frame.target.valid.sum()),
            detector(frame),
        )
        for frame in frames
    ]


def poses_as_finds(estimator: Estimator, frame: LabelledFrame) -> list[Detection]:
    """People as the estimator gives them: a find in the middle of each torso."""
    poses = estimator.estimate(frame.depth, frame.camera)
    return [Detection(torso_centre(p.joints), p.score) for p in poses]


def count(frames: Iterable[Seen], least: float = 0.0) -> Counts:
    """Match finds of at least that score with people by place."""
    rows, errors = [], []
    for frame in frames:
        people, asked = frame.people, frame.asked
        finds = np.array([f.centre for f in frame.finds if f.score >= least]).reshape(-1, 3)
        who = match_people(finds, people)
        hit = who >= 0
        errors += np.linalg.norm(finds[hit] - people[who[hit]], axis=1).tolist()
        distance = people[0, 2] if asked.any() else np.nan
        alone = len(people) == int(asked.any())
        rows.append((asked.sum(), asked[who[hit]].sum(), (~hit).sum(), distance,
                     frame.inside, alone))  # fmt: skip
    if not rows:
        raise UserError("there are no frames to look for people in")
    counted, found, false, distances, inside, single = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return Counts(counted, found, false, distances, inside, single, errors)


def summarize(c: Counts) -> dict:
    """Numbers by name, plain types only; None where nothing was measured."""
    single = c.alone & (c.people == 1)
    near = single & (c.distance >= DISTANCES[0]) & (c.distance <= DISTANCES[-1])
    empty = c.alone & (c.people == 0)
    bins = [
        (f"nearer than {DISTANCES[0]:.1f} m", single & (c.distance < DISTANCES[0])),
        *(
            (f"{low:.1f} to {high:.1f} m", single & (c.distance >= low) & (c.distance < high))
            for low, high in pairwise(DISTANCES)
        ),
    ]
    return {
        "frames": len(c.people),
        "one person": {
            name: _recall(c, rows)
            for name, rows in (
                *bins,
                (f"{DISTANCES[0]:.1f} to {DISTANCES[-1]:.1f} m", near),
                ("of these, whole in the image", near & (c.inside >= WHOLE)),
            )
        },
        "all people": {
            "people": int(c.people.sum()),
            "found": _share(c.found.sum(), c.people.sum()),
        },
        "empty rooms": {
            "rooms": int(empty.sum()),
            "with finds": _share((c.false[empty] > 0).sum(), empty.sum()),
        },
        "false per frame": round(float(c.false.mean()), 4),
        "error_mm": round(1000 * float(np.mean(c.error)), 1) if c.error else None,
    }


def table(summary: dict) -> str:
    """The numbers as text."""
    lines = [f"{'one person at':<32}{'people':>8}{'found':>10}"]
    for name, row in summary["one person"].items():
        lines.append(f"{name:<32}{row['people']:>8}{_percent(row['found']):>10}")
    everybody, empty = summary["all people"], summary["empty rooms"]
    lines += [
        f"{'all people':<32}{everybody['people']:>8}{_percent(everybody['found']):>10}",
        f"empty rooms: {empty['rooms']}, with a find in {_percent(empty['with finds'])}",
        f"finds where nobody is: {summary['false per frame']:.3f} per frame; "
        f"mean distance from the middle of the torso: {summary['error_mm']} mm",
    ]
    return "\n".join(lines)


def sweep_table(frames: Sequence[Seen], scores: Sequence[float]) -> str:
    """What other lowest scores would give, a line each."""
    lines = [f"{'score':<8}{'one':>9}{'all':>9}{'empty':>9}{'false':>9}"]
    for least in scores:
        s = summarize(count(frames, least))
        one = s["one person"][f"{DISTANCES[0]:.1f} to {DISTANCES[-1]:.1f} m"]["found"]
        shares = (one, s["all people"]["found"], s["empty rooms"]["with finds"])
        lines.append(
            f"{least:<8g}"
            + "".join(f"{_percent(v):>9}" for v in shares)
            + f"{s['false per frame']:>9.3f}"
        )
    return "\n".join(lines)


def plot(summary: dict, path: Path) -> None:
    """Recall by distance as bars."""
    from matplotlib.figure import Figure  # only plots need matplotlib

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    rows = list(summary["one person"].items())[: len(DISTANCES)]
    bars = axes.bar([name for name, _ in rows], [row["found"] or 0 for _, row in rows])
    axes.bar_label(bars, [f"n = {row['people']}" for _, row in rows], fontsize=8)
    axes.set(ylim=(0, 1.08), ylabel="People found, one in the room")
    axes.tick_params(axis="x", rotation=30)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=120)


def _recall(c: Counts, rows: NDArray[np.bool_]) -> dict:
    return {"people": int(rows.sum()), "found": _share(c.found[rows].sum(), rows.sum())}


def _share(part: int, whole: int) -> float | None:
    return round(float(part / whole), 4) if whole else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m depth_pose_training evaluate_detector",
        description="Measure who is found in whole frames: recall by distance, false finds.",
    )
    registry.add_arguments(parser)
    parser.set_defaults(data="synthetic")
    add = parser.add_argument
    add("--weights", help="name or path of the weights (default: the shipped ones)")
    add("--seed", type=int, default=0, help="of rendered frames")
    add("--limit", type=int, help="at most so many frames, evenly spread")
    add("--geometry", type=Path, metavar="SHARDS", help="find by planes, jumps of depth and what"
        " people in these training frames measure")  # fmt: skip
    add("--estimator", action="store_true", help="the whole estimator, not the detector alone")
    add("--threshold", type=float, help="lowest score (default: the detector's or the estimator's)")
    add("--sweep", type=float, nargs="+", default=[], help="also with these lowest scores")
    add("--threads", type=int, default=2)
    add("--out", type=Path, help="folder for summary.json and a plot")
    return parser


def _detector(
    args: argparse.Namespace,
) -> tuple[Callable[[LabelledFrame], Sequence[Detection]], float]:
    """What finds people, with scores as low as any that is asked about; the score to report at."""
    usual = EstimatorOptions.min_person_score if args.estimator or args.geometry else MIN_SCORE
    threshold = usual if args.threshold is None else args.threshold
    lowest = min(threshold, *args.sweep, 1.0)
    geometry = None
    if args.geometry is not None:
        frames = datasets.open("synthetic", args.geometry)
        geometry = GeometricDetector(frames[i] for i in evenly_spaced(frames, _MEASURED))
    if args.estimator:
        estimator = PoseEstimator.from_pretrained(
            args.weights, device="cpu", threads=args.threads, min_person_score=lowest
        )
        if geometry is not None:
            return partial(_poses_by_geometry, estimator, geometry), threshold
        return partial(poses_as_finds, estimator), threshold
    if geometry is not None:
        return lambda frame: geometry(frame.depth, frame.camera, lowest), threshold
    detector = load_modules(resolve(args.weights), {DETECTOR: build_detector})[DETECTOR]
    assert isinstance(detector, PersonDetector)
    detector.eval()
    return lambda frame: detect(detector, frame.depth, frame.camera, lowest), threshold


def _poses_by_geometry(
    estimator: PoseEstimator, geometry: GeometricDetector, frame: LabelledFrame
) -> list[Detection]:
    finds = geometry(frame.depth, frame.camera, MIN_SCORE)
    poses = estimator.estimate_at(frame.depth, frame.camera, finds)
    return [Detection(torso_centre(p.joints), p.score) for p in poses]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        wanted = {**registry.DATASETS[args.data].evaluation, **registry.chosen(args)}
        if args.data == "synthetic" and args.motion:
            wanted["seed"] = args.seed
        frames = datasets.open(args.data, args.root, **wanted)
        detector, threshold = _detector(args)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    chosen = evenly_spaced(frames, args.limit)
    seen = look(detector, tqdm((frames[i] for i in chosen), total=len(chosen), unit="frame"))
    summary = summarize(count(seen, threshold))
    print(table(summary))
    if args.sweep:
        print(sweep_table(seen, args.sweep))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {"data": args.data, "weights": args.weights, "results": summary}, indent=1
        )
        (args.out / "summary.json").write_text(text + "\n", encoding="utf-8")
        plot(summary, args.out / "recall_by_distance.png")
    return 0
