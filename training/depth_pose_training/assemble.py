"""From a run folder to one weights file: ``python -m depth_pose_training.assemble --help``."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from depth_pose_ros import weights
from depth_pose_ros.estimator import FINDER
from depth_pose_training import options, run_folder
from depth_pose_training.checkpoints import CheckpointError
from depth_pose_training.run_folder import RunError


def assemble(run: Path, finder: Path, out: Path, fcn: Path | None = None) -> None:
    """Write the pose network of a run and a person finder into one safetensors file.

    With the head that :mod:`depth_pose_training.train_person` made, where there is one.

    Args:
        run: folder with all of Algorithm 1's steps.
        finder: checkpoint of :mod:`depth_pose_training.train_finder`.
        out: the file.
        fcn: step 1's checkpoint, if it is not in ``run``.

    Raises:
        RunError: a step is missing, or a file does not fit.
    """
    config = run_folder.kept_config(run)
    config = replace(config, person=(run / run_folder.PERSON).exists())
    need = (
        run_folder.FCN,
        run_folder.SURFACE,
        run_folder.TEMPLATES,
        run_folder.MATCHNET,
        run_folder.INFERENCE,
    )
    network = run_folder.multiplied_out(run_folder.load_network(run, config, fcn, need))
    if not finder.exists():
        raise RunError(f"{finder} is missing: run depth_pose_training.train_finder first")
    try:
        finder_network = run_folder.load_finder(finder)
    except CheckpointError as error:
        raise RunError(f"not a person finder: {error}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    weights.save_modules(
        out,
        {
            weights.POSE: (network, config.to_json()),
            FINDER: (finder_network, finder_network.config.to_json()),
        },
    )


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the model's steps")
    parser.add_argument("--fcn", type=Path, help="step 1's checkpoint, if it is elsewhere")
    parser.add_argument("--finder", type=Path, required=True, help="train_finder's checkpoint.pt")
    parser.add_argument("--out", type=Path, required=True, help="models/<name>.safetensors")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = options.parse(arguments(), "assemble", argv)
    options.save(args.run, "assemble", args)
    assemble(args.run, args.finder, args.out, args.fcn)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {weights.module_names(args.out)}")


if __name__ == "__main__":
    options.command(main)
