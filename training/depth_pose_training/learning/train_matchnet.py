"""Step 2 of Algorithm 1, MatchNet: is a proposal where its part is (Eqn. 7)?

``python -m depth_pose_training train_matchnet --help``.  Pairs of the FCN's proposals and their
part's templates are labelled 1 where the proposal's box overlaps the true one by more than half.
A stopped run goes on from its last checkpoint; ``torchrun`` starts many processes.
"""

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.matchnet import MatchNet
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage
from depth_pose_ros.core.models.proposals import coarse_maximum, window_pixels
from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine import loop, step_options, winograd
from depth_pose_training.engine.checkpoints import Files
from depth_pose_training.engine.distributed import SINGLE_PROCESS, Distributed, average, join
from depth_pose_training.engine.loader import Loader, to_device
from depth_pose_training.engine.loop import LoopConfig, Task
from depth_pose_training.engine.optimizers import OptimizerConfig
from depth_pose_training.engine.tensorboard import Image, TensorBoardLogger
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.boxes import match_labels
from depth_pose_training.learning.pictures import skeletons
from depth_pose_training.learning.strided_matchnet import (
    embed_strided,
    strided_phase,
    strided_proposals,
)


@dataclass(frozen=True)
class Settings(OptimizerConfig):
    """How MatchNet is trained.

    Attributes:
        positives: share of a step's weight that its matches have.  They are a tenth of the
            proposals, so that by their number alone the answer "no" would be nearly right.
    """

    positives: float = 0.5


PAPER = Settings("sgd", 0.1, 20)
COMPACT = Settings("adamw", 3e-3, 16)
_SHOWN = 6  # crops in TensorBoard's pictures


class Match(nn.Module):
    """MatchNet on a strided grid of proposals, as the module that processes share."""

    def __init__(self, matchnet: MatchNet) -> None:
        super().__init__()
        self.matchnet = matchnet

    def forward(self, crops: Tensor, pixels: Tensor) -> Tensor:
        """(B, 1, H, W) and (B, 19, n, 2) -> (B, 19, n, T) logits."""
        patches = embed_strided(self.matchnet, crops, pixels)
        return self.matchnet.match(patches, self.matchnet.template_half())


def windows(network: PoseNetwork, output: FcnOutput, crops: Tensor) -> tuple[Tensor, Tensor]:
    """The FCN's coarse maxima (B, 19, 2), and all pixels of their windows (B, 19, n, 2)."""
    centres = coarse_maximum(output, network.fcn.stride, refine=network.config.fcn == "compact")
    return centres, window_pixels(centres, network.config.window, *crops.shape[-2:])


def match_loss(logits: Tensor, labels: Tensor, weight: Tensor, positives: float) -> Tensor:
    """Cross-entropy over all pairs (Eqn. 7), matches and others weighed against each other.

    Args:
        logits: (B, 19, n, T).
        labels: (B, 19, n) bool, the same for all templates.
        weight: (B, 19), of each joint.
        positives: share of the weight that goes to the matches.
    """
    target = labels.to(logits.dtype)
    pairs = F.binary_cross_entropy_with_logits(
        logits, target[..., None].expand_as(logits), reduction="none"
    ).mean(-1)
    yes, no = target * weight[..., None], (1 - target) * weight[..., None]
    of_yes = (pairs * yes).sum() / average(yes.sum()).clamp(min=1e-6)
    of_no = (pairs * no).sum() / average(no.sum()).clamp(min=1e-6)
    return positives * of_yes + (1 - positives) * of_no


@torch.no_grad()
def validate(network: PoseNetwork, data: CropDataset, limit: int) -> dict[str, float]:
    """How well the mean match probability alone tells proposals apart, on evenly spread crops.

    Returns:
        "auc" of matches against other proposals; mean pixel error of the best match, of the FCN's
        maximum and of the nearest proposal there is; their shares within 5 px.
    """
    network.eval()
    device = network.gamma.device
    scores, labels, errors = [], [], []
    chosen = data.evenly_spaced(limit)
    for part in np.array_split(chosen, -(-len(chosen) // 8)):
        batch = to_device(data.batch(part), device)
        output = network.fcn(batch.crops)
        centres, pixels = windows(network, output, batch.crops)
        score = network.matchnet(batch.crops, pixels).sigmoid().mean(-1)
        known = batch.weight > 0
        distance = (pixels - batch.pixels[:, :, None]).norm(dim=-1)
        best = distance.gather(2, score.argmax(-1, keepdim=True))[..., 0]
        coarse = (centres - batch.pixels).norm(dim=-1)
        errors.append(torch.stack((best, coarse, distance.amin(-1)), -1)[known])
        scores.append(score[known].flatten())
        labels.append(match_labels(pixels, batch.pixels)[known].flatten())
    error = torch.cat(errors)
    truth = torch.cat(labels).cpu().numpy()
    report = {}
    if truth.any() and not truth.all():
        report["auc"] = float(roc_auc_score(truth, torch.cat(scores).cpu().numpy()))
    for i, name in enumerate(("match", "fcn", "nearest")):
        report[f"{name}_px"] = float(error[:, i].mean())
        report[f"{name}_within_5px"] = float((error[:, i] <= 5).float().mean())
    return {k: round(v, 4) for k, v in report.items()}


@torch.no_grad()
def picture(network: PoseNetwork, data: CropDataset, stage: Stage = "matchnet") -> Image:
    """Skeletons of some held-out crops, under the truth; as yet the parts by themselves."""
    network.eval()
    batch = data.batch(data.evenly_spaced(_SHOWN))
    batch = to_device(batch, network.gamma.device)
    return skeletons(batch, network(batch.crops, batch.frames, stage).pixels)


def training_loss(
    network: PoseNetwork,
    match: nn.Module,
    batch: Batch,
    positives: float,
    phase: Tensor,
    cast: AbstractContextManager[object],
) -> Tensor:
    """Eqn. 7 on a strided grid of one batch's proposals.

    Args:
        network: with its FCN.
        match: a :class:`Match` of its MatchNet, or that in parallel.
        batch: B crops.
        positives: see :class:`Settings`.
        phase: (B, towers, 2) of the strided grids.
        cast: mixed precision, of MatchNet alone.
    """
    with torch.no_grad():
        _, pixels = windows(network, network.fcn(batch.crops), batch.crops)
    pixels = strided_proposals(pixels, phase)
    with cast:
        logits = match(batch.crops, pixels)
    labels = match_labels(pixels, batch.pixels)
    return match_loss(logits.float(), labels, batch.weight, positives)


def phase_of(step: int, batch: int, towers: int, seed: int, distributed: Distributed) -> Tensor:
    """(B, towers, 2): this process's share of a step's phases of the strided grid."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    return strided_phase(batch, towers, generator)[distributed.share(batch)].to(distributed.device)


def train(
    network: PoseNetwork,
    loader: Loader[Batch],
    held_out: CropDataset,
    settings: Settings,
    loop_config: LoopConfig,
    run: Path,
    seed: int,
    limit: int = 200,
    distributed: Distributed = SINGLE_PROCESS,
) -> int:
    """Train, or go on training, the network's MatchNet.

    Args:
        network: with its FCN and templates.
        loader: crops to learn from.
        held_out: crops to validate on.
        settings, loop_config: how, how long.
        run: folder of checkpoint and log.
        seed: of the strided grids.
        limit: crops to validate on.
        distributed: this process among all.

    Returns:
        Steps done.
    """
    network.to(distributed.device)
    network.fcn.requires_grad_(False)
    network.fcn.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    winograd.use(network.fcn)
    network.matchnet.tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(module: nn.Module, batch: Batch, step: int) -> Tensor:
        network.fcn.eval()
        network.matchnet.train()
        phase = phase_of(step, settings.batch, network.matchnet.towers, seed, distributed)
        cast = distributed.autocast(loop_config.precision)
        return training_loss(network, module, batch, settings.positives, phase, cast)

    task = Task(
        network.matchnet,
        Match(network.matchnet),
        settings.make(network.matchnet),
        loss,
        lambda: validate(network, held_out, limit),
        lambda: picture(network, held_out),
    )
    files = Files(run / run_folder.MATCHNET, run / run_folder.MATCHNET_LOG)
    logger = TensorBoardLogger(
        run / run_folder.TENSORBOARD / "matchnet" if distributed.is_main_process else None
    )
    return loop.fit(task, loader, loop_config, files, distributed, logger)


def run(args: argparse.Namespace) -> int:
    """Train by a command line's options; returns the steps done."""
    distributed = join(args.device)
    config = run_folder.start(args, "train_matchnet", distributed)
    network = run_folder.load_network(
        args.run, config, args.fcn, need=(run_folder.FCN, run_folder.TEMPLATES)
    )
    usual = PAPER if config.fcn == "paper" else COMPACT
    optimizer_config = usual.changed(args.optimizer, args.rate, args.batch)
    positives = args.positives if args.positives is not None else usual.positives
    settings = Settings(
        optimizer_config.optimizer, optimizer_config.rate, optimizer_config.batch, positives
    )
    loop_config = LoopConfig(
        args.steps, args.checkpoint_every, optimizer_config.rate, args.precision
    )
    loader = CropLoader(
        CropDataset(*args.data, mapped=True),
        optimizer_config.batch,
        args.seed,
        distributed,
        args.workers,
    )
    return train(
        network,
        loader,
        CropDataset(args.validation, mapped=True),
        settings,
        loop_config,
        args.run,
        args.seed,
        args.validation_crops,
        distributed,
    )


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    run_folder.add_arguments(parser)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, help="folders of training shards")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add("--optimizer", choices=("sgd", "adamw"), help="default: the paper's, or adamw for compact")
    add("--rate", type=float, help="highest learning rate")
    add("--batch", type=int, help="crops per step, of all processes together")
    add("--positives", type=float, help="share of the loss that is the matches'")
    add("--validation-crops", type=int, default=200)
    loop.add_arguments(parser, steps=1500, every=250, precision="bf16")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "train_matchnet", argv))
