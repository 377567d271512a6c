"""Export: the networks of a run folder in one weights file."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from depth_pose_ros.core import weights
from depth_pose_ros.core.estimator import DETECTOR
from depth_pose_training.engine import step_options
from depth_pose_training.engine.checkpoints import CheckpointError
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.run_folder import RunError


def export(run: Path, detector: Path, out: Path, fcn: Path | None = None) -> None:
    """Write the pose network of a run and a person detector into one safetensors file.

    Includes the person classifier, if the run has one.

    Args:
        run: folder with all of Algorithm 1's steps.
        detector: checkpoint of :mod:`depth_pose_training.learning.train_detector`.
        out: the file.
        fcn: step 1's checkpoint, if it is not in ``run``.

    Raises:
        RunError: a step is missing, or a file does not fit.
    """
    config = run_folder.kept_config(run)
    config = replace(config, person=(run / run_folder.PERSON).exists())
    need = (
        run_folder.FCN,
        run_folder.JOINT_DEPTH_OFFSET,
        run_folder.TEMPLATES,
        run_folder.MATCHNET,
        run_folder.INFERENCE,
    )
    network = run_folder.multiplied_out(run_folder.load_network(run, config, fcn, need))
    if not detector.exists():
        raise RunError(f"{detector} is missing: run the step train_detector first")
    try:
        detector_network = run_folder.load_detector(detector)
    except CheckpointError as error:
        raise RunError(f"not a person detector: {error}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    weights.save_modules(
        out,
        {
            weights.POSE: (network, config.to_json()),
            DETECTOR: (detector_network, detector_network.config.to_json()),
        },
    )


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the model's steps")
    parser.add_argument("--fcn", type=Path, help="step 1's checkpoint, if it is elsewhere")
    parser.add_argument(
        "--detector", type=Path, required=True, help="train_detector's checkpoint.pt"
    )
    parser.add_argument("--out", type=Path, required=True, help="models/<name>.safetensors")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = step_options.parse(arguments(), "export_weights", argv)
    step_options.save(args.run, "export_weights", args)
    export(args.run, args.detector, args.out, args.fcn)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {weights.module_names(args.out)}")
