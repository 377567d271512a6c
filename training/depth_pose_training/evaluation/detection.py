"""Evaluate the detection of people in whole frames: recall by distance, false positives.

Evaluates the person detector alone, or with ``--estimator`` the whole estimator.  ``--geometry``
replaces the network by a baseline that is fitted on the sizes of people in the given shards.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core.detection import MIN_SCORE, Detection, detect
from depth_pose_ros.core.estimator import DETECTOR, PoseEstimator
from depth_pose_ros.core.models.detector import PersonDetector, build_detector
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.weights import load_modules, resolve
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.data import datasets, evenly_spaced
from depth_pose_training.data.datasets import LabelledFrame
from depth_pose_training.data.people import match_people, torso_centre
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.geometric_detector import GeometricDetector
from depth_pose_training.evaluation.labelled_frames import FrameOptions, load_estimator
from depth_pose_training.evaluation.predictions import Estimator
from depth_pose_training.evaluation.report import markdown_table, percent, ratio, write_json

#: Edges of the distances that recall is reported by, metres.
DISTANCES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
#: A person counts as whole in the image with at least this number of joints inside.
WHOLE = 15
_RANGE = f"{DISTANCES[0]:.1f} to {DISTANCES[-1]:.1f} m"
_GEOMETRY_FRAMES = 500  # maximum number of frames that the geometric detector is fitted on

Detector = Callable[[LabelledFrame], Sequence[Detection]]


@dataclass(frozen=True)
class Counts:
    """Detections of N frames, compared with the labels.

    Attributes:
        people: (N,) number of counted people.
        found: (N,) number of these that were detected.
        false: (N,) number of false positives.
        distance: (N,) metres to the labelled person, NaN where there is none.
        inside: (N,) number of that person's joints in the image.
        alone: (N,) bool, frames without further people, hidden ones included.
        error: distances of detections from their people, metres.
    """

    people: NDArray[np.int64]
    found: NDArray[np.int64]
    false: NDArray[np.int64]
    distance: NDArray[np.float64]
    inside: NDArray[np.int64]
    alone: NDArray[np.bool_]
    error: list[float]


@dataclass(frozen=True)
class DetectedFrame:
    """Labels and detections of one frame, without its image.

    Attributes:
        people: (P, 3) metres, torso centres; counted people first.
        counted: (P,) bool, people that count in the evaluation.
        inside: number of the labelled person's joints in the image.
        detections: by descending score.
    """

    people: NDArray[np.float64]
    counted: NDArray[np.bool_]
    inside: int
    detections: Sequence[Detection]


def detect_frames(detector: Detector, frames: Iterable[LabelledFrame]) -> list[DetectedFrame]:
    """Run a detector on frames."""
    return [
        DetectedFrame(
            np.array([torso_centre(j) for j in frame.joints]).reshape(-1, 3),
            frame.counted,
            int(frame.target.valid.sum()),
            detector(frame),
        )
        for frame in frames
    ]


def poses_as_detections(poses: Iterable[Pose]) -> list[Detection]:
    """The torso centre and score of every pose."""
    return [Detection(torso_centre(p.joints), p.score) for p in poses]


def count(frames: Iterable[DetectedFrame], min_score: float = 0.0) -> Counts:
    """Match the detections of at least ``min_score`` with people by distance.

    Raises:
        UserError: there are no frames.
    """
    rows, errors = [], []
    for frame in frames:
        people, counted = frame.people, frame.counted
        centres = [d.centre for d in frame.detections if d.score >= min_score]
        detections = np.array(centres).reshape(-1, 3)
        match = match_people(detections, people)
        hit = match >= 0
        errors += np.linalg.norm(detections[hit] - people[match[hit]], axis=1).tolist()
        distance = people[0, 2] if counted.any() else np.nan
        alone = len(people) == int(counted.any())
        rows.append((counted.sum(), counted[match[hit]].sum(), (~hit).sum(), distance,
                     frame.inside, alone))  # fmt: skip
    if not rows:
        raise UserError("there are no frames to evaluate on")
    total, found, false, distances, inside, single = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return Counts(total, found, false, distances, inside, single, errors)


def summarize(c: Counts) -> dict:
    """Numbers by name, plain types only; None where nothing was measured."""
    single = c.alone & (c.people == 1)
    near = single & (c.distance >= DISTANCES[0]) & (c.distance <= DISTANCES[-1])
    empty = c.alone & (c.people == 0)
    bins = {f"nearer than {DISTANCES[0]:.1f} m": single & (c.distance < DISTANCES[0])}
    for low, high in pairwise(DISTANCES):
        bins[f"{low:.1f} to {high:.1f} m"] = single & (c.distance >= low) & (c.distance < high)
    bins |= {_RANGE: near, "of these, whole in the image": near & (c.inside >= WHOLE)}
    return {
        "frames": len(c.people),
        "one person": {name: _recall(c, rows) for name, rows in bins.items()},
        "all people": _recall(c, np.ones(len(c.people), bool)),
        "empty rooms": {
            "rooms": int(empty.sum()),
            "with false positives": ratio((c.false[empty] > 0).sum(), empty.sum()),
        },
        "false per frame": round(float(c.false.mean()), 4),
        "error_mm": round(1000 * float(np.mean(c.error)), 1) if c.error else None,
    }


def table(summary: dict) -> str:
    """The numbers as text."""
    rows = {**summary["one person"], "all people": summary["all people"]}
    empty = summary["empty rooms"]
    share = percent(empty["with false positives"])
    return "\n".join((
        markdown_table(
            ("one person at", "people", "found"),
            ((name, str(r["people"]), percent(r["found"])) for name, r in rows.items()),
        ),
        f"empty rooms: {empty['rooms']}, with false positives: {share}",
        f"false positives: {summary['false per frame']:.3f} per frame; "
        f"mean distance from the torso's centre: {summary['error_mm']} mm",
    ))  # fmt: skip


def sweep_table(frames: Sequence[DetectedFrame], scores: Sequence[float]) -> str:
    """Recall and false positives at several minimum scores, a row each."""
    rows = []
    for score in scores:
        s = summarize(count(frames, score))
        shares = (s["one person"][_RANGE]["found"], s["all people"]["found"],
                  s["empty rooms"]["with false positives"])  # fmt: skip
        rows.append([f"{score:g}", *map(percent, shares), f"{s['false per frame']:.3f}"])
    columns = ("score", "one person", "all people", "empty rooms", "false/frame")
    return markdown_table(columns, rows)


def plot(summary: dict, path: Path) -> None:
    """Recall by distance as bars."""
    from matplotlib.figure import Figure  # only plots need matplotlib

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    rows = list(summary["one person"].items())[: len(DISTANCES)]
    bars = axes.bar([name for name, _ in rows], [row["found"] or 0 for _, row in rows])
    axes.bar_label(bars, [f"n = {row['people']}" for _, row in rows], fontsize=8)
    axes.set(ylim=(0, 1.08), ylabel="Recall, one person in the room")
    axes.tick_params(axis="x", rotation=30)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=120)


def _recall(c: Counts, rows: NDArray[np.bool_]) -> dict:
    people = int(c.people[rows].sum())
    return {"people": people, "found": ratio(c.found[rows].sum(), people)}


@dataclass(frozen=True)
class DetectorOptions(FrameOptions):
    """Options of the step."""

    data: Literal["utd_mhad", "k2hgd", "itop", "synthetic"] = option("dataset", "synthetic")
    weights: str | None = option("name or path of the weights (default: the shipped model)", None)
    geometry: Path | None = option(
        "folder of shards: evaluate the geometric detector, fitted on these frames", None
    )
    estimator: bool = option("evaluate the whole estimator, not the detector alone", False)
    threshold: float | None = option(
        "minimum score (default: that of the detector or of the estimator)", None
    )
    sweep: tuple[float, ...] = option("further minimum scores to report", ())
    out: Path | None = option("folder for summary.json and a plot", None)


def _detector(options: DetectorOptions) -> tuple[Detector, float]:
    """The detector, run at the lowest of all minimum scores, and the minimum score to report at."""
    poses = options.estimator or options.geometry
    default = EstimatorOptions.min_person_score if poses else MIN_SCORE
    threshold = default if options.threshold is None else options.threshold
    lowest = min(threshold, *options.sweep, 1.0)
    geometry = None
    if options.geometry is not None:
        frames = datasets.open("synthetic", options.geometry)
        geometry = GeometricDetector(frames[i] for i in evenly_spaced(frames, _GEOMETRY_FRAMES))
    if options.estimator:
        estimator = load_estimator(
            options.weights, threads=options.threads, min_person_score=lowest
        )
        if geometry is not None:
            return partial(_poses_by_geometry, estimator, geometry), threshold
        return partial(estimator_detections, estimator), threshold
    if geometry is not None:
        return lambda frame: geometry(frame.depth, frame.camera, lowest), threshold
    detector = load_modules(resolve(options.weights), {DETECTOR: build_detector})[DETECTOR]
    assert isinstance(detector, PersonDetector)
    detector.eval()
    return lambda frame: detect(detector, frame.depth, frame.camera, lowest), threshold


def estimator_detections(estimator: Estimator, frame: LabelledFrame) -> list[Detection]:
    """The estimator's poses of a frame as detections."""
    return poses_as_detections(estimator.estimate(frame.depth, frame.camera))


def _poses_by_geometry(
    estimator: PoseEstimator, geometry: GeometricDetector, frame: LabelledFrame
) -> list[Detection]:
    detections = geometry(frame.depth, frame.camera, MIN_SCORE)
    return poses_as_detections(estimator.estimate_at(frame.depth, frame.camera, detections))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(DetectorOptions, argv, "evaluate_detector")
    torch.set_num_threads(options.threads)
    frames = datasets.open(options.data, options.root, **options.selection())
    detector, threshold = _detector(options)
    indices = evenly_spaced(frames, options.limit)
    progress = tqdm((frames[i] for i in indices), total=len(indices), unit="frame")
    detected = detect_frames(detector, progress)
    summary = summarize(count(detected, threshold))
    print(table(summary))
    if options.sweep:
        print(f"\n{sweep_table(detected, options.sweep)}")
    if options.out is not None:
        header = {"data": options.data, "weights": options.weights}
        write_json(options.out / "summary.json", summary, **header)
        plot(summary, options.out / "recall_by_distance.png")
