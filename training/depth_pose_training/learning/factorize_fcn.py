"""Factorizes the paper's FCN: ``python -m depth_pose_training factorize_fcn --help``.

The inverse of multiply_out_fcn.  The low-rank FCN trains faster: ``train_fcn --fcn paper --low-rank
--begin-from``.  Each kernel gets a Tucker decomposition of its input and output channels (De
Lathauwer et al., "A multilinear singular value decomposition", 2000), which is exact for kernels
that multiply_out_fcn made.  Batch normalization gets the statistics of crops and cancels them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from depth_pose_ros.core.models.fcn import PaperFcn
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.low_rank_fcn import LowRankConv, LowRankPaperFcn, PositiveNorm


def cut(kernel: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """A kernel as three.

    Args:
        kernel: (outputs, inputs, k, k).
        rank: how many directions of inputs and of outputs to keep.

    Returns:
        (outputs, rank), columns orthonormal; (rank, rank, k, k); (rank, inputs), rows orthonormal.
    """

    def strongest(unfolded: Tensor) -> Tensor:
        # Its Gram matrix has the same directions, and is small.
        _, vectors = torch.linalg.eigh(unfolded @ unfolded.T)
        return vectors[:, -rank:]

    exact = kernel.double()
    up = strongest(exact.flatten(1))
    down = strongest(exact.transpose(0, 1).flatten(1)).T
    middle = torch.einsum("or,oiyx,si->rsyx", up, exact, down)
    return up.to(kernel), middle.to(kernel), down.to(kernel)


@torch.no_grad()
def factor(plain: PaperFcn, crops: Tensor) -> tuple[LowRankPaperFcn, float]:
    """The low-rank network that gives what the paper's gives.

    Args:
        plain: the paper's network.
        crops: (B, 1, 216, 176), enough of them for batch normalization's statistics.

    Returns:
        The network, and the least share of any kernel's energy that its factors keep: 1 where they
        are exact.
    """
    made, least = LowRankPaperFcn(plain.displacement is not None).eval(), 1.0
    sources = (layer for layer in plain.features if isinstance(layer, nn.Conv2d))
    x = crops
    for layer in made.features:
        if isinstance(layer, (LowRankConv, nn.Conv2d)):
            source = next(sources)
            scale, kept = _fill(layer, source.weight)
            least = min(least, kept)
        x = layer(x) if not isinstance(layer, PositiveNorm) else _normal(layer, x, source, scale)
    for name in ("heat", "depth", "displacement"):
        head = getattr(plain, name)
        if head is not None:
            getattr(made, name).load_state_dict(head.state_dict())
    return made, least


def _fill(layer: LowRankConv | nn.Conv2d, kernel: Tensor) -> tuple[float, float]:
    """Give a layer a kernel in the size that it would begin with, for the optimizer's steps.

    Returns:
        What the kernel was multiplied by, and the share of its energy that was kept.
    """
    inner, kept = layer, 1.0
    if isinstance(layer, LowRankConv):
        up, whole, down = cut(kernel, layer.middle.in_channels)
        layer.up.weight.copy_(up[:, :, None, None])
        layer.down.weight.copy_(down[:, :, None, None])
        inner, kept = layer.middle, float(whole.square().sum() / kernel.square().sum())
    else:
        whole = kernel
    assert isinstance(inner, nn.Conv2d)
    scale = 1 / math.sqrt(whole[0].numel()) / float(whole.square().mean().sqrt().clamp(min=1e-12))
    inner.weight.copy_(whole * scale)
    return scale, kept


def _normal(norm: PositiveNorm, x: Tensor, source: nn.Conv2d, scale: float) -> Tensor:
    """Statistics of x, and what makes of x the layer's output before its ReLU."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert source.bias is not None
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt() / scale)
    norm.bias.copy_(source.bias + mean / scale)
    made: Tensor = norm(x)
    return made


@dataclass(frozen=True)
class FactorizeOptions:
    """Options of the step."""

    source: Path = option("run folder of the paper's FCN")
    run: Path = option("new run folder of the low-rank FCN")
    data: tuple[Path, ...] = option("folders of training shards")
    crops: int = option("crops for the batch normalization statistics", 96)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = parse(FactorizeOptions, argv, "factorize_fcn")
    plain, data = PaperFcn(), CropDataset(*args.data, mapped=True)
    try:
        plain.load_state_dict(read(args.source / run_folder.FCN)["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{args.source} does not hold the paper's network (train_fcn --fcn paper, or unpack)"
        ) from error
    rows = data.evenly_spaced(args.crops)
    made, kept = factor(plain, data.batch(rows).crops)
    write_whole(args.run / run_folder.FCN, {"model": made.state_dict()})
    print(f"{args.run}: the factors keep {100 * kept:.4f} % of the kernel that they keep least of")
