"""Evaluate a model on labelled depth images: ``python -m depth_pose_training evaluate --help``.

The public estimator runs on whole frames of any dataset and finds people by itself.  A frame in
which the labelled person is not found counts all its joints as missed.  Results are printed, and
written to ``--out``: summary.json, adapter.json, pictures of the worst and of the missed frames,
the paper's plots.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from depth_pose_training.data import datasets, evenly_spaced
from depth_pose_training.data.datasets import LabelledFrames, registry
from depth_pose_training.data.datasets.adapter import ENOUGH_FRAMES, JointAdapter
from depth_pose_training.data.datasets.base import read
from depth_pose_training.evaluation.pictures import worst, write_pictures
from depth_pose_training.evaluation.plots import plot_curves, plot_per_joint
from depth_pose_training.evaluation.predictions import Estimator, Predictions, predict
from depth_pose_training.evaluation.summary import (
    Errors,
    joint_table,
    people_table,
    summarize,
    table,
)
from depth_pose_training.learning import metrics

#: What the model does, from its first task alone to the whole (paper, Sect. 5.3).
STAGES: tuple[str, ...] = ("fcn", "matchnet", "full")

#: (model name or path, device, stage, and mirror=True where asked for) -> an estimator.
EstimatorFactory = Callable[..., Estimator]


def load_estimator(model: str | None, device: str, stage: str, mirror: bool = False) -> Estimator:
    """The public estimator, as an application gets it."""
    # Imported here, because it brings torch, which --help need not wait for.
    from depth_pose_ros.core.estimator import PoseEstimator

    return PoseEstimator.from_pretrained(model, device=device, stage=stage, flip_test=mirror)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        frames: the dataset.
        indices: the dataset's index of every evaluated frame.
        predictions: by stage.
        summaries: by stage, see :func:`depth_pose_training.evaluation.summary.summarize`.
        adapter: from our joints to the dataset's, if there is one.
    """

    frames: LabelledFrames
    indices: list[int]
    predictions: dict[str, Predictions]
    summaries: dict[str, dict]
    adapter: JointAdapter | None


def evaluate(
    estimators: dict[str, Estimator],
    frames: LabelledFrames,
    limit: int | None = None,
    adapter: JointAdapter | None = None,
    progress: bool = False,
) -> Evaluation:
    """Run estimators on the same frames and measure them.

    Args:
        estimators: by stage, or by any name.
        frames: the dataset.
        limit: evaluate at most so many frames, evenly spread.
        adapter: also report estimates moved to the dataset's joints.
        progress: show a progress bar.
    """
    indices = evenly_spaced(frames, limit).tolist()
    predictions = predict(estimators, (frames[i] for i in indices), len(indices), progress)
    summaries = {name: summarize(p, frames.torso_top, adapter) for name, p in predictions.items()}
    return Evaluation(frames, indices, predictions, summaries, adapter)


def fit_adapter(
    estimator: Estimator, frames: LabelledFrames, limit: int | None = None, progress: bool = False
) -> JointAdapter:
    """Fit an adapter on a dataset's training frames with an estimator's own output."""
    count = len(evenly_spaced(frames, limit))
    p = predict({"": estimator}, read(frames, limit), count, progress)[""]
    return JointAdapter.fit(p.joints, p.true_joints, p.valid)


def write(evaluation: Evaluation, out: Path, header: dict, pictures: int) -> None:
    """Write summary, adapter, pictures and plots into a folder, made if need be."""
    out.mkdir(parents=True, exist_ok=True)
    summary = {**header, "results": evaluation.summaries}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if evaluation.adapter is not None:
        evaluation.adapter.save(out / "adapter.json")
    plot_curves(evaluation.summaries, out / "pdj_curves.png")
    plot_per_joint(evaluation.summaries, out / "pdj_per_joint.png")
    frames, indices = evaluation.frames, evaluation.indices
    for name, p in evaluation.predictions.items():
        errors = Errors.of(p, frames.torso_top).position
        missed = [int(i) for i in (p.labelled & ~p.found).nonzero()[0][:pictures]]
        folder = out / "pictures" / name
        write_pictures(folder, frames, indices, p, worst(errors, pictures), "worst")
        write_pictures(folder, frames, indices, p, missed, "missed")


def main(argv: Sequence[str] | None = None, factory: EstimatorFactory = load_estimator) -> int:
    """The command line; returns the exit code."""
    args = _parser().parse_args(argv)
    stages = STAGES if args.ablation else (args.stage,)
    if args.mirror:
        factory = partial(factory, mirror=True)
    try:
        wanted = {**registry.DATASETS[args.data].evaluation, **registry.chosen(args)}
        if args.data == "synthetic" and args.motion:
            wanted["seed"] = args.seed
        frames = datasets.open(args.data, args.root, **wanted)
        # One estimator per stage: finding people does not depend on the stage, so that all of them
        # see the same crops.
        estimators = {stage: factory(args.model, args.device, stage) for stage in stages}
        adapter = _adapter(args, wanted, estimators[stages[-1]])
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    result = evaluate(estimators, frames, args.limit, adapter, progress=True)
    header = {
        "data": args.data,
        "options": {k: [str(x) for x in v] if k == "motion" else v for k, v in wanted.items()},
        "model": args.model,
        "torso": f"{frames.torso_top} to the middle of the hips",
        "pdj_thresholds": list(metrics.PDJ_THRESHOLDS),
        "adapter": None if adapter is None else {"source": args.adapter, **_training(args)},
    }
    write(result, args.out, header, args.pictures)
    print(f"\n{args.data}: {len(result.indices)} frames; torso from {header['torso']}\n")
    print(table(result.summaries))
    print(f"\n{people_table(result.summaries)}")
    print(f"\n{stages[-1]}, per joint\n\n{joint_table(result.summaries[stages[-1]])}")
    for stage, summary in result.summaries.items():
        if summary["not_found"]:
            print(f"\n{stage}: nobody found in {', '.join(summary['not_found'])}")
    print(f"\nwritten to {args.out}")
    return 0


def _training(args: argparse.Namespace) -> dict[str, Any]:
    """The options that choose what the adapter is fitted on."""
    training = dict(registry.DATASETS[args.data].training)
    if args.adapter_subjects and "subjects" in training:
        training["subjects"] = args.adapter_subjects
    return training


def _adapter(
    args: argparse.Namespace, wanted: dict[str, Any], estimator: Estimator
) -> JointAdapter | None:
    training = _training(args)
    if args.adapter == "none" or (args.adapter == "fit" and not training):
        return None  # synthetic joints are ours
    if args.adapter != "fit":
        return JointAdapter.load(args.adapter)
    for name, value in training.items():
        theirs = value if isinstance(value, list) else [value]
        ours = wanted[name] if isinstance(wanted[name], list) else [wanted[name]]
        both = sorted(set(theirs) & set(ours))
        if both:
            raise ValueError(
                f"the adapter must not be fitted on {name} that are evaluated, but {both} would "
                "be: give others, or --adapter none"
            )
    frames = datasets.open(args.data, args.root, **{**wanted, **training})
    if not np.isfinite(frames[0].target.joints).any():
        return None  # there is nothing in space to fit to
    return fit_adapter(estimator, frames, args.adapter_frames, progress=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m depth_pose_training evaluate",
        description="Evaluate a model on labelled depth images: PDJ, 3-D error, mAP at 10 cm.",
    )
    add = parser.add_argument
    registry.add_arguments(parser)
    add("--seed", type=int, default=0, help="of rendered frames")
    add("--limit", type=int, help="at most so many frames, evenly spread")
    add("--model", help="name or path of the weights (default: the shipped model)")
    add("--device", default="auto", help="cpu, cuda or auto")
    add("--stage", choices=STAGES, default="full", help="how much of the model to run")
    add("--mirror", action="store_true", help="look at everybody a second time, in the mirror")
    add("--ablation", action="store_true", help="all stages on the same frames (Fig. 10, 11)")
    add(
        "--adapter",
        default="fit",
        help='to the dataset\'s joints: "fit" on --adapter-subjects, "none", or an adapter.json',
    )
    add("--adapter-subjects", type=int, nargs="+", help="utd_mhad: to fit the adapter on (1 3 5)")
    add(
        "--adapter-frames",
        type=int,
        default=ENOUGH_FRAMES,
        help="at most so many frames of them",
    )
    add("--out", type=Path, default=Path("build/eval"), help="folder for results")
    add("--pictures", type=int, default=20, help="pictures of the worst and of the missed frames")
    return parser
