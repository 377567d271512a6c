"""Step 1 of Algorithm 1: the fully convolutional network (Eqn. 6).

``python -m depth_pose_training train_fcn --help``, or the same under ``torchrun`` for many
processes.  A stopped run goes on from its last checkpoint.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from depth_pose_ros.core.models import config as configs
from depth_pose_ros.core.models.fcn import (
    CompactFcn,
    FcnOutput,
    PaperFcn,
    Residual,
    build_fcn,
    heat_probability,
)
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_ros.core.models.proposals import coarse_maximum
from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine import loop, step_options, winograd
from depth_pose_training.engine.checkpoints import CheckpointError, Files, read
from depth_pose_training.engine.distributed import Distributed, join
from depth_pose_training.engine.loader import to_device
from depth_pose_training.engine.loop import LoopConfig, Task
from depth_pose_training.engine.optimizers import OPTIMIZERS, OptimizerConfig
from depth_pose_training.engine.tensorboard import Image, TensorBoardLogger
from depth_pose_training.errors import UserError
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.losses import fcn_loss, in_full, person_loss
from depth_pose_training.learning.low_rank_fcn import LowRankPaperFcn
from depth_pose_training.learning.pictures import skeletons

#: Standard deviation of the target Gaussians, crop pixels.
SIGMA = {"compact": 5.0, "paper": 8.0}
#: The paper's numbers (Sect. 5.1), and ours.
OPTIMIZERS_BY_FCN = {
    "compact": OptimizerConfig("muon", 2.5e-3, 24),
    "paper": OptimizerConfig("sgd", 0.01, 20),
}
_LOW_RANK = OptimizerConfig("adamw", 3e-3, 24)
Fcn = CompactFcn | PaperFcn | LowRankPaperFcn
_SHOWN = 6  # crops in TensorBoard's pictures


@torch.no_grad()
def validate(
    model: nn.Module, data: CropDataset, device: torch.device, limit: int = 1000
) -> dict[str, float]:
    """Median and mean error (crop pixels) and mean depth error (mm) of shown joints.

    Of the maps' expectation where they are distributions, else of their maxima.
    """
    model.eval()
    stride = int(model.stride)  # type: ignore[arg-type]
    errors, depths = [], []
    for start in range(0, min(limit, len(data)), 25):
        batch = to_device(data.batch(np.arange(start, min(start + 25, len(data)))), device)
        output = model(batch.crops.contiguous(memory_format=torch.channels_last))
        p = heat_probability(output)
        if output.logits:
            rows, columns = (torch.arange(n, device=device) for n in p.shape[-2:])
            x, y = (p.sum(2) * columns).sum(-1), (p.sum(3) * rows).sum(-1)
            pixels = torch.stack((x, y), -1) * stride
        else:
            pixels = coarse_maximum(output, stride, refine=True)
        z = (p * output.depth).sum((2, 3)) + batch.frames[:, None, 3]
        shown = batch.visible == 1
        errors.append((pixels - batch.pixels).norm(dim=-1)[shown])
        depths.append((z - batch.joints[..., 2]).abs()[shown])
    model.train()
    error, depth = torch.cat(errors), torch.cat(depths)
    return {
        "pixels_median": float(error.median()),
        "pixels_mean": float(error.mean()),
        "within_5px": float((error < 5).float().mean()),
        "depth_mm": float(depth.mean() * 1000),
    }


@torch.no_grad()
def picture(model: nn.Module, data: CropDataset, device: torch.device) -> Image:
    """The maxima of some held-out crops' heat maps as skeletons, under the truth."""
    model.eval()
    batch = to_device(data.batch(data.evenly_spaced(_SHOWN)), device)
    output = model(batch.crops)
    model.train()
    stride = int(model.stride)  # type: ignore[arg-type]
    return skeletons(batch, coarse_maximum(output, stride, refine=output.logits))


class _Distributions(nn.Module):
    """A network whose heat maps are taken for the logarithms of distributions."""

    def __init__(self, model: Fcn) -> None:
        super().__init__()
        self.model, self.stride = model, model.stride

    def forward(self, crops: Tensor) -> FcnOutput:
        """As the network's own."""
        output: FcnOutput = self.model(crops)
        return output._replace(logits=True)


class _Judged(nn.Module):
    """A network and, of what it saw, whether that is a person, by a head that learns nothing."""

    def __init__(self, model: Fcn, head: PersonClassifier) -> None:
        super().__init__()
        self.model, self.head = model, head.eval().requires_grad_(False)

    def forward(self, crops: Tensor) -> tuple[FcnOutput, Tensor]:
        """The network's output, and the head's logits (B,)."""
        output: FcnOutput = self.model(crops)
        return output, self.head(output.context)


def read_head(path: Path) -> PersonClassifier:
    """What train_person wrote.

    Raises:
        CheckpointError: the file is something else.
    """
    head = PersonClassifier(CompactFcn.contexts)
    try:
        head.load_state_dict(read(path)["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not what train_person_classifier writes") from error
    return head


def make_task(
    model: Fcn,
    optimizer_config: OptimizerConfig,
    held_out: CropDataset,
    sigma: float,
    distributed: Distributed,
    loop_config: LoopConfig,
    distributions: bool = False,
    head: PersonClassifier | None = None,
) -> Task[Batch]:
    """The network as :func:`depth_pose_training.engine.loop.fit` wants it.

    With ``distributions`` heat maps are taken for the logarithms of distributions, whatever they
    are meant to be.  With a ``head`` the network also learns features for the person classifier:
    crops without a known joint are negatives.
    """
    model.to(distributed.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    winograd.use(model)
    shown = _Distributions(model) if distributions else model

    def loss(module: nn.Module, batch: Batch, step: int) -> Tensor:
        with distributed.autocast(loop_config.precision):
            output = module(batch.crops.contiguous(memory_format=torch.channels_last))
        output, judged = output if head is not None else (output, None)
        if distributions:
            output = output._replace(logits=True)
        total = fcn_loss(in_full(output), batch, model.stride, sigma).total
        return total if judged is None else total + person_loss(judged.float(), batch)

    def report() -> dict[str, Any]:
        return validate(shown, held_out, distributed.device)

    def draw() -> Image:
        return picture(shown, held_out, distributed.device)

    module = model if head is None else _Judged(model, head)
    return Task(model, module, optimizer_config.make(model), loss, report, draw)


def begin_from(model: nn.Module, start: Path) -> None:
    """Take a checkpoint's weights; residual blocks that it lacks start as identities.

    Raises:
        CheckpointError: it is of another network.
    """
    given, own = read(start).get("model", {}), model.state_dict()
    blocks = {name: m for name, m in model.named_modules() if isinstance(m, Residual)}
    new = {name: m for name, m in blocks.items() if f"{name}.norm.weight" not in given}
    kept = {k: v.shape for k, v in own.items() if not k.startswith(tuple(f"{n}." for n in new))}
    if not kept or {k: v.shape for k, v in given.items()} != kept:
        raise CheckpointError(f"{start} is of another network than --fcn and its blocks name")
    model.load_state_dict(given, strict=False)
    for block in new.values():
        nn.init.zeros_(block.norm.weight)


def run(args: argparse.Namespace) -> int:
    """Train by a command line's options; returns the steps done."""
    distributed = join(args.device)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.low_rank and args.fcn != "paper":
        raise UserError("only the paper's network has a low-rank form: add --fcn paper")
    usual = _LOW_RANK if args.low_rank else OPTIMIZERS_BY_FCN[args.fcn]
    optimizer_config = usual.changed(args.optimizer, args.rate, args.batch)
    loop_config = LoopConfig(
        args.steps, args.checkpoint_every, optimizer_config.rate, args.precision
    )
    if distributed.is_main_process:
        step_options.save(args.out, "train_fcn", args)
    data, held_out = (
        CropDataset(*args.data, mapped=args.mapped),
        CropDataset(args.validation, mapped=True),
    )
    if args.low_rank:
        model: Fcn = LowRankPaperFcn()
    else:
        config = run_folder.named_config(args.fcn)
        up, fine = args.up_blocks, args.fine_blocks
        blocks = {"fcn_blocks": args.blocks, "fcn_up_blocks": up, "fcn_fine_blocks": fine}
        model = build_fcn(replace(config, **blocks))
    if args.begin_from:
        begin_from(model, args.begin_from)
    head = None
    if args.person:
        if args.fcn != "compact":
            raise UserError("only the compact network has a person head: no --person with others")
        head = read_head(args.person)
    made = make_task(
        model,
        optimizer_config,
        held_out,
        SIGMA[args.fcn],
        distributed,
        loop_config,
        args.distributions,
        head,
    )
    if args.freeze_first:  # after the optimizer has it, so that checkpoints stay alike
        next(m for m in model.modules() if isinstance(m, nn.Conv2d)).requires_grad_(False)
    return loop.fit(
        made,
        CropLoader(data, optimizer_config.batch, args.seed, distributed, args.workers),
        loop_config,
        Files(args.out / run_folder.FCN, args.out / run_folder.FCN_LOG),
        distributed,
        TensorBoardLogger(
            args.out / run_folder.TENSORBOARD / "fcn" if distributed.is_main_process else None
        ),
    )


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, help="folders of training shards")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add("--out", type=Path, required=True, help="folder of checkpoints and log")
    add("--fcn", choices=("compact", "paper"), default="compact")
    add(
        "--blocks",
        type=int,
        default=configs.compact().fcn_blocks,
        help="residual blocks at stride 16 of the compact network (fcn_blocks in a --config file)",
    )
    add(
        "--up-blocks",
        type=int,
        default=configs.compact().fcn_up_blocks,
        help="the same at stride 8 on the way up (fcn_up_blocks)",
    )
    add(
        "--fine-blocks",
        type=int,
        default=configs.compact().fcn_fine_blocks,
        help="the same at stride 4 (fcn_fine_blocks)",
    )
    add(
        "--low-rank",
        action="store_true",
        help="low-rank layers of the paper's network, ten times as fast; then multiply_out_fcn",
    )
    add(
        "--freeze-first",
        action="store_true",
        help="leave the first convolution as it is: half the time of the low-rank network's step",
    )
    add(
        "--distributions",
        action="store_true",
        help="a start for the paper's network: heat maps as logarithms of distributions, by "
        "cross-entropy; then without, by Eqn. 6",
    )
    add(
        "--person",
        type=Path,
        help="person.pt of a classifier: its loss on the crops of mine_negatives (another "
        "folder of --data) is added; then train_person_classifier again",
    )
    add("--begin-from", type=Path, help="checkpoint of a network, perhaps of fewer blocks")
    add("--optimizer", choices=OPTIMIZERS, help="default: the paper's, or muon for compact")
    add("--rate", type=float, help="highest learning rate")
    add("--batch", type=int, help="crops per step, of all processes together")
    add("--mapped", action="store_true", help="memory-map the crops")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    loop.add_arguments(parser, steps=8000, every=250)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "train_fcn", argv))
