"""How well people are found: ``python -m depth_pose_training.finder_eval --help``.

The person finder alone, on whole frames of any dataset: recall by distance in frames with one
person, recall of all people, and finds where nobody is, in empty rooms and in others.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.estimator import FINDER
from depth_pose_ros.network.finder import Finder, build_finder
from depth_pose_ros.people import Find, find
from depth_pose_ros.weights import load_modules, resolve
from depth_pose_training import datasets
from depth_pose_training.datasets import LabelledFrame, registry
from depth_pose_training.datasets.base import spread
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.predictions import matches, place

#: Edges of the distances that recall is reported by, metres.
DISTANCES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
#: A person is whole in the image with so many joints inside.
WHOLE = 15


@dataclass(frozen=True)
class Counts:
    """What a finder did in N frames.

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


def count(
    finder: Callable[[LabelledFrame], Sequence[Find]], frames: Iterable[LabelledFrame]
) -> Counts:
    """Run a finder on frames and match its finds with people by place."""
    rows, errors = [], []
    for frame in frames:
        people = np.array([place(j) for j in (frame.joints, *frame.others)])
        asked = np.array([frame.valid.any(), *frame.others_asked])
        finds = np.array([f.centre for f in finder(frame)]).reshape(-1, 3)
        who = matches(finds, people)
        hit = who >= 0
        errors += np.linalg.norm(finds[hit] - people[who[hit]], axis=1).tolist()
        rows.append((asked.sum(), asked[who[hit]].sum(), (~hit).sum(), people[0, 2],
                     frame.valid.sum(), not len(frame.others)))  # fmt: skip
    if not rows:
        raise UserError("there are no frames to look for people in")
    people, found, false, distance, inside, alone = (np.array(c) for c in zip(*rows, strict=True))
    return Counts(people, found, false, distance, inside, alone, errors)


def summarise(c: Counts) -> dict:
    """Numbers by name, plain types only; None where nothing was measured."""
    single = c.alone & (c.people == 1)
    near = single & (c.distance >= DISTANCES[0]) & (c.distance <= DISTANCES[-1])
    empty = c.alone & (c.people == 0)
    bins = [
        (f"{low:.1f} to {high:.1f} m", single & (c.distance >= low) & (c.distance < high))
        for low, high in pairwise(DISTANCES)
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


def plot(summary: dict, path: Path) -> None:
    """Recall by distance as bars."""
    from matplotlib.figure import Figure  # only plots need matplotlib

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    rows = list(summary["one person"].items())[: len(DISTANCES) - 1]
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
        prog="python -m depth_pose_training.finder_eval",
        description="Measure the person finder on whole frames: recall by distance, false finds.",
    )
    registry.add_arguments(parser)
    parser.set_defaults(data="synthetic")
    add = parser.add_argument
    add("--weights", help="name or path of the weights (default: the shipped ones)")
    add("--seed", type=int, default=0, help="of rendered frames")
    add("--limit", type=int, help="at most so many frames, evenly spread")
    add("--threshold", type=float, default=0.35, help="lowest score of a find")
    add("--threads", type=int, default=2)
    add("--out", type=Path, help="folder for summary.json and a plot")
    return parser


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
        finder = load_modules(resolve(args.weights), {FINDER: build_finder})[FINDER]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    assert isinstance(finder, Finder)
    finder.eval()
    chosen = spread(frames, args.limit)
    summary = summarise(
        count(
            lambda frame: find(finder, frame.depth, frame.camera, args.threshold),
            tqdm((frames[i] for i in chosen), total=len(chosen), unit="frame"),
        )
    )
    print(table(summary))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {"data": args.data, "weights": args.weights, "results": summary}, indent=1
        )
        (args.out / "summary.json").write_text(text + "\n", encoding="utf-8")
        plot(summary, args.out / "recall_by_distance.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
