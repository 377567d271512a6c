"""Several runs' networks as one: ``python -m depth_pose_training average_models --help``.

Networks that went on from one another, each annealed, lie round a better one: the mean of their
parameters makes fewer errors than any of them and costs nothing when it is used (Izmailov et al.,
"Averaging weights leads to wider optima and better generalization", UAI 2018).  They must have
parameters in common to begin with; networks trained apart have no use for each other's.
"""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from depth_pose_ros.core.models.fcn import build_fcn
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine import step_options, winograd
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.engine.distributed import SINGLE_PROCESS
from depth_pose_training.errors import UserError
from depth_pose_training.learning import run_folder

State = dict[str, Tensor]
_BATCH = 32


def mean(states: Sequence[State], weights: Sequence[float]) -> State:
    """The weighted mean of networks' states.

    Args:
        states: of one network each; counters are the first one's.  What some lack (the blocks of
            a network that went on deeper) is the mean of the others'.
        weights: one for each; only their ratios count.

    Raises:
        CheckpointError: the networks differ in shape, or none has all that the others have.
        UserError: the weights are not as many, or not positive.
    """
    if len(weights) != len(states) or min(weights) <= 0:
        raise UserError(f"--weights must be {len(states)} positive numbers, one per checkpoint")
    shapes = {name: value.shape for name, value in max(states, key=len).items()}
    if any(shapes.get(name) != v.shape for state in states for name, v in state.items()):
        raise CheckpointError("the checkpoints are of different networks")

    def of(name: str) -> Tensor:
        parts = [(w, s[name]) for w, s in zip(weights, states, strict=True) if name in s]
        if not parts[0][1].is_floating_point():
            return parts[0][1]
        return torch.stack([w * p for w, p in parts]).sum(0) / sum(w for w, _ in parts)

    return {name: of(name) for name in shapes}


def count_anew(model: nn.Module, data: CropDataset, crops: int, seed: int) -> None:
    """Batch normalization's means and variances, of crops as in training.

    Those of a mean network are not the mean of the networks' own.

    Raises:
        LoaderError: fewer crops than a batch has.
    """
    winograd.use(model)
    stream = CropLoader(data, _BATCH, seed, SINGLE_PROCESS).start(None, 0)
    batches = islice(stream, max(1, crops // _BATCH))
    channels_last = torch.channels_last
    update_bn((b.crops.contiguous(memory_format=channels_last) for b, _ in batches), model)


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--checkpoints", type=Path, nargs="+", required=True, help="of one network's runs")
    add("--weights", type=float, nargs="+", help="one per checkpoint (default: equal)")
    add("--run", type=Path, required=True, help="folder of the model's steps")
    add(
        "--data",
        type=Path,
        nargs="+",
        help="an FCN's folders of shards, as in training: batch normalization's means are counted "
        "anew (without: they are averaged, too)",
    )
    add("--crops", type=int, default=3200, help="that are counted")
    add("--config", default="compact", help="of the FCN: compact or a JSON file")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    return parser


def run(args: argparse.Namespace) -> None:
    """Average by a command line's options."""
    torch.set_num_threads(args.threads)
    try:
        states: list[State] = [read(path)["model"] for path in args.checkpoints]
    except KeyError as error:
        raise CheckpointError("a checkpoint holds no network") from error
    state = mean(states, args.weights or [1.0] * len(states))
    if args.data:
        fcn = build_fcn(run_folder.named_config(args.config))
        try:
            fcn.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"the checkpoints are not of the FCN of --config {args.config}"
            ) from error
        count_anew(fcn, CropDataset(*args.data, mapped=True), args.crops, args.seed)
        state = fcn.state_dict()
    step_options.save(args.run, "average_models", args)
    write_whole(args.run / run_folder.FCN, {"model": state})


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "average_models", argv))
