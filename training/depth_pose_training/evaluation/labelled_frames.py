"""Evaluate a model on labelled depth images: PDJ, 3-D error, mAP at 10 cm.

The estimator runs on whole frames of any dataset and detects people itself.  Where the labelled
person is not detected, all its joints count as missed.  Results are printed, and written to
``--out``: summary.json, adapter.json, pictures of the worst and of the missed frames, and plots.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from depth_pose_training.configs.cli import option, parse
from depth_pose_training.configs.groups import CommonOptions
from depth_pose_training.data import datasets, evenly_spaced
from depth_pose_training.data.datasets import LabelledFrames, registry
from depth_pose_training.data.datasets.adapter import ENOUGH_FRAMES, JointAdapter
from depth_pose_training.data.datasets.base import read
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.pictures import worst, write_pictures
from depth_pose_training.evaluation.plots import plot_curves, plot_per_joint
from depth_pose_training.evaluation.predictions import Estimator, Predictions, predict
from depth_pose_training.evaluation.report import write_json
from depth_pose_training.evaluation.summary import (
    Errors,
    joint_table,
    people_table,
    summarize,
    table,
)
from depth_pose_training.learning import metrics

if TYPE_CHECKING:
    from depth_pose_ros.core.estimator import PoseEstimator

#: Stages of the model, from the FCN alone to the full method (paper, Sect. 5.3).
STAGES: tuple[str, ...] = ("fcn", "matchnet", "full")

#: Function of model, device, stage and optionally flip_test that returns an estimator.
EstimatorFactory = Callable[..., Estimator]


def load_estimator(
    model: str | None, device: str = "cpu", stage: str = "full", **options: Any
) -> "PoseEstimator":
    """The estimator of depth_pose_ros.

    Args:
        model: name or path of the weights; None for the shipped model.
        device: cpu, cuda or auto.
        stage: one of :data:`STAGES`.
        options: further fields of ``EstimatorOptions``.

    Raises:
        UserError: an option is invalid, or the weights cannot be read.
    """
    # Imported here so that --help does not wait for torch.
    from depth_pose_ros.core.estimator import PoseEstimator

    try:
        return PoseEstimator.from_pretrained(model, device=device, stage=stage, **options)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from error


@dataclass(frozen=True)
class Evaluation:
    """Results of :func:`evaluate`.

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
        limit: maximum number of frames, evenly spaced.
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
    """Write summary, adapter, pictures and plots into a folder, which is created."""
    write_json(out / "summary.json", evaluation.summaries, **header)
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


@dataclass(frozen=True)
class FrameOptions(registry.DatasetOptions, CommonOptions):
    """Options of the steps that evaluate on a dataset."""

    limit: int | None = option("maximum number of frames, evenly spaced", None)

    def selection(self) -> dict[str, Any]:
        """Arguments of the dataset: by default its frames for evaluation."""
        values = {**registry.DATASETS[self.data].evaluation, **registry.chosen(self)}
        if self.data == "synthetic" and self.motion:
            values["seed"] = self.seed
        return values


@dataclass(frozen=True)
class EvaluateOptions(FrameOptions):
    """Options of the step."""

    model: str | None = option("name or path of the weights (default: the shipped model)", None)
    device: Literal["auto", "cpu", "cuda"] = option("device of the estimator", "auto")
    stage: Literal["fcn", "matchnet", "full"] = option("last stage of the model to run", "full")
    flip_test: bool = option(
        "average the FCN's output with that of the flipped crop (test-time augmentation)", False
    )
    ablation: bool = option("evaluate all stages on the same frames (Fig. 10, 11)", False)
    adapter: str = option(
        'adapter to the joints of the dataset: "fit" (on --adapter-subjects), "none", or a JSON '
        "file",
        "fit",
    )
    adapter_subjects: tuple[int, ...] = option(
        "utd_mhad: subjects to fit the adapter on (default: 1 3 5)", ()
    )
    adapter_frames: int = option("maximum number of frames to fit the adapter on", ENOUGH_FRAMES)
    out: Path = option("folder of the results", Path("build/eval"))
    pictures: int = option("number of pictures of the worst and of the missed frames", 20)

    def training(self) -> dict[str, Any]:
        """Arguments of the dataset that select the frames to fit the adapter on."""
        training = dict(registry.DATASETS[self.data].training)
        if self.adapter_subjects and "subjects" in training:
            training["subjects"] = list(self.adapter_subjects)
        return training


def main(argv: Sequence[str] | None = None, factory: EstimatorFactory = load_estimator) -> None:
    """The command line."""
    options = parse(EvaluateOptions, argv, "evaluate")
    stages = STAGES if options.ablation else (options.stage,)
    if options.flip_test:
        factory = partial(factory, flip_test=True)
    selection = options.selection()
    frames = datasets.open(options.data, options.root, **selection)
    # Detection does not depend on the stage: all estimators get the same crops.
    estimators = {stage: factory(options.model, options.device, stage) for stage in stages}
    adapter = _adapter(options, estimators[stages[-1]])
    result = evaluate(estimators, frames, options.limit, adapter, progress=True)
    source = None if adapter is None else {"source": options.adapter, **options.training()}
    header = {
        "data": options.data,
        "options": {k: [str(x) for x in v] if k == "motion" else v for k, v in selection.items()},
        "model": options.model,
        "torso": f"{frames.torso_top} to the middle of the hips",
        "pdj_thresholds": list(metrics.PDJ_THRESHOLDS),
        "adapter": source,
    }
    write(result, options.out, header, options.pictures)
    print(f"\n{options.data}: {len(result.indices)} frames; torso from {header['torso']}\n")
    print(table(result.summaries))
    print(f"\n{people_table(result.summaries)}")
    print(f"\n{stages[-1]}, per joint\n\n{joint_table(result.summaries[stages[-1]])}")
    for stage, summary in result.summaries.items():
        if summary["not_found"]:
            print(f"\n{stage}: labelled person missed in {', '.join(summary['not_found'])}")
    print(f"\nwritten to {options.out}")


def _adapter(options: EvaluateOptions, estimator: Estimator) -> JointAdapter | None:
    training, selection = options.training(), options.selection()
    if options.adapter == "none" or (options.adapter == "fit" and not training):
        return None  # synthetic data has the joints of the model
    if options.adapter != "fit":
        return JointAdapter.load(options.adapter)
    for name, value in training.items():
        fitted, evaluated = (v if isinstance(v, list) else [v] for v in (value, selection[name]))
        both = sorted(set(fitted) & set(evaluated))
        if both:
            raise UserError(
                f"the adapter must not be fitted on {name} that are evaluated, but {both} would "
                f"be: choose other {name}, or --adapter none"
            )
    frames = datasets.open(options.data, options.root, **{**selection, **training})
    if not np.isfinite(frames[0].target.joints).any():
        return None  # the dataset has 2-D labels only
    return fit_adapter(estimator, frames, options.adapter_frames, progress=True)
