"""The paper's FCN multiplied out: ``python -m depth_pose_training multiply_out_fcn --help``.

What ``train_fcn --fcn paper --factored`` trained becomes the paper's nine layers, exactly
(:mod:`depth_pose_training.learning.low_rank_fcn`); ``train_fcn --fcn paper`` on the folder that this writes
goes on from there.  The other steps take either form, and are faster with the factored one.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from depth_pose_ros.core.models.fcn import PaperFcn
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.low_rank_fcn import FactoredPaperFcn


def multiply_out(source: Path) -> PaperFcn:
    """The paper's network from a factored run's folder.

    Raises:
        CheckpointError: the folder's checkpoint is of another network.
    """
    factored = FactoredPaperFcn().eval()
    try:
        factored.load_state_dict(read(source / run_folder.FCN)["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{source} does not hold what train_fcn --fcn paper --factored writes"
        ) from error
    return factored.multiply_out()


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--source", type=Path, required=True, help="folder of the factored run")
    add("--run", type=Path, required=True, help="folder of the model's steps")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = arguments().parse_args(argv)
    model = multiply_out(args.source)
    write_whole(args.run / run_folder.FCN, {"model": model.state_dict()})
