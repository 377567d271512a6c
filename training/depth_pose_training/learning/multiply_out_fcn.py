"""Converts the low-rank FCN to the paper's: ``python -m depth_pose_training multiply_out_fcn``.

The result gives the same output as the network that ``train_fcn --fcn paper --low-rank`` trained
(:mod:`depth_pose_training.learning.low_rank_fcn`).  ``train_fcn --fcn paper`` continues training in
the folder that this step writes.  The other steps take both forms and are faster with the low-rank
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from depth_pose_ros.core.models.fcn import PaperFcn
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.low_rank_fcn import LowRankPaperFcn


def multiply_out(source: Path) -> PaperFcn:
    """The paper's network from a low-rank run's folder.

    Raises:
        CheckpointError: the folder's checkpoint is of another network.
    """
    low_rank = LowRankPaperFcn().eval()
    try:
        low_rank.load_state_dict(read(source / run_folder.FCN)["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{source} does not hold what train_fcn --fcn paper --low-rank writes"
        ) from error
    return low_rank.multiply_out()


@dataclass(frozen=True)
class MultiplyOutOptions:
    """Options of the step."""

    source: Path = option("run folder of the low-rank FCN")
    run: Path = option("new run folder")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = parse(MultiplyOutOptions, argv, "multiply_out_fcn")
    model = multiply_out(args.source)
    write_whole(args.run / run_folder.FCN, {"model": model.state_dict()})
