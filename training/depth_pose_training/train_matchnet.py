"""Step 2 of Algorithm 1, MatchNet: is a proposal where its part is (Eqn. 7)?

``python -m depth_pose_training.train_matchnet --help``.  Pairs of the FCN's proposals and their
part's templates are labelled 1 where the proposal's box overlaps the true one by more than half.
A stopped run goes on from its last checkpoint.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from depth_pose_ros.network.fcn import FcnOutput
from depth_pose_ros.network.model import PoseNetwork
from depth_pose_ros.network.proposals import coarse_maximum, window_pixels
from depth_pose_training import run_folder
from depth_pose_training.batches import Batch, CropSet
from depth_pose_training.boxes import match_labels
from depth_pose_training.lattice import embed_lattice, lattice_proposals


@dataclass(frozen=True)
class Settings:
    """How MatchNet is trained.

    Attributes:
        optimiser: "sgd" is the paper's, with momentum 0.9 and weight decay 0.0005; "adamw" learns
            the compact model sooner.
        rate: highest learning rate, of one cycle.
        batch: crops per step.
        positives: share of a step's weight that its matches have.  They are a tenth of the
            proposals, so that by their number alone the answer "no" would be nearly right.
    """

    optimiser: str
    rate: float
    batch: int
    positives: float = 0.5


PAPER = Settings("sgd", 0.1, 20)
COMPACT = Settings("adamw", 3e-3, 16)


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
    of_yes = (pairs * yes).sum() / yes.sum().clamp(min=1e-6)
    of_no = (pairs * no).sum() / no.sum().clamp(min=1e-6)
    return positives * of_yes + (1 - positives) * of_no


@torch.no_grad()
def validate(network: PoseNetwork, data: CropSet, limit: int) -> dict[str, float]:
    """How well the mean match probability alone tells proposals apart, on evenly spread crops.

    Returns:
        "auc" of matches against other proposals; mean pixel error of the best match, of the FCN's
        maximum and of the nearest proposal there is; their shares within 5 px.
    """
    network.eval()
    scores, labels, errors = [], [], []
    chosen = np.unique(np.linspace(0, len(data) - 1, limit).astype(np.int64))
    for part in np.array_split(chosen, -(-len(chosen) // 8)):
        batch = data.batch(part)
        output = network.fcn(batch.crops)
        centres, pixels = windows(network, output, batch.crops)
        score = network.matchnet(batch.crops, pixels).sigmoid().mean(-1)
        asked = batch.weight > 0
        distance = (pixels - batch.pixels[:, :, None]).norm(dim=-1)
        best = distance.gather(2, score.argmax(-1, keepdim=True))[..., 0]
        coarse = (centres - batch.pixels).norm(dim=-1)
        errors.append(torch.stack((best, coarse, distance.amin(-1)), -1)[asked])
        scores.append(score[asked].flatten())
        labels.append(match_labels(pixels, batch.pixels)[asked].flatten())
    error = torch.cat(errors)
    truth = torch.cat(labels).numpy()
    report = {}
    if truth.any() and not truth.all():
        report["auc"] = float(roc_auc_score(truth, torch.cat(scores).numpy()))
    for i, name in enumerate(("match", "fcn", "nearest")):
        report[f"{name}_px"] = float(error[:, i].mean())
        report[f"{name}_within_5px"] = float((error[:, i] <= 5).float().mean())
    return {k: round(v, 4) for k, v in report.items()}


def training_loss(
    network: PoseNetwork, batch: Batch, positives: float, generator: torch.Generator
) -> Tensor:
    """Eqn. 7 on a lattice of one batch's proposals."""
    with torch.no_grad():
        _, pixels = windows(network, network.fcn(batch.crops), batch.crops)
    pixels = lattice_proposals(pixels, network.matchnet.towers, generator)
    matchnet = network.matchnet
    with torch.autocast("cpu", torch.bfloat16):
        patches = embed_lattice(matchnet, batch.crops, pixels)
        logits = matchnet.match(patches, matchnet.template_half())
    labels = match_labels(pixels, batch.pixels)
    return match_loss(logits.float(), labels, batch.weight, positives)


def train(
    network: PoseNetwork,
    data: CropSet,
    held_out: CropSet,
    settings: Settings,
    steps: int,
    every: int,
    limit: int,
    run: Path,
    seed: int,
    stop: int | None = None,
) -> None:
    """Train, or go on training, the network's MatchNet.

    Args:
        network: with its FCN and templates.
        data, held_out: crops to learn from and to validate on.
        settings: how.
        steps: in all; the learning rate's cycle is so long.
        every: steps between checkpoints, which are validated.
        limit: crops to validate on.
        run: folder of checkpoint and log.
        seed: of the choice of crops.
        stop: stop after this step already; a later call goes on.
    """
    path, done = run / run_folder.MATCHNET, 0
    matchnet = network.matchnet
    network.fcn.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    matchnet.tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = _optimiser(matchnet, settings)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=steps, pct_start=0.15, cycle_momentum=False
    )
    if path.exists():
        state = run_folder.read(path)
        matchnet.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        done = int(state["step"])
    started, running = time.monotonic(), list[float]()
    # A resumed run draws other crops than the first steps did.
    generator = torch.Generator().manual_seed(seed * 1_000_003 + done)
    batches = _batches(data, settings.batch, seed, done)
    for step in tqdm(range(done + 1, (stop or steps) + 1), initial=done, total=steps, unit="step"):
        network.fcn.eval()
        matchnet.train()
        loss = training_loss(network, next(batches), settings.positives, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(matchnet.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        running.append(float(loss.detach()))
        if step % every == 0 or step == steps:
            report = {
                "step": step,
                "loss": round(float(np.mean(running)), 4),
                "seconds": round(time.monotonic() - started, 1),
                **validate(network, held_out, limit),
            }
            running.clear()
            tqdm.write(json.dumps(report))
            run_folder.log(run, "matchnet", report)
            run_folder.write(
                path,
                {
                    "model": matchnet.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step,
                },
            )


def _optimiser(matchnet: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    if settings.optimiser == "sgd":
        return torch.optim.SGD(
            matchnet.parameters(), settings.rate, momentum=0.9, weight_decay=0.0005
        )
    return torch.optim.AdamW(matchnet.parameters(), settings.rate, weight_decay=0.01)


def _batches(data: CropSet, size: int, seed: int, done: int) -> Iterator[Batch]:
    epoch = done
    while True:
        yield from data.epoch(min(size, len(data)), np.random.default_rng((seed, epoch)))
        epoch += 1


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    run_folder.add_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder of training shards")
    parser.add_argument("--validation", type=Path, required=True, help="folder of held-out shards")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--optimiser", choices=("sgd", "adamw"), help="default: as the paper's, "
                        "or for the compact model adamw")  # fmt: skip
    parser.add_argument("--rate", type=float, help="highest learning rate")
    parser.add_argument("--batch", type=int, help="crops per step")
    parser.add_argument("--positives", type=float, help="share of the loss that is the matches'")
    parser.add_argument("--checkpoint-every", type=int, default=250, help="steps")
    parser.add_argument("--validation-crops", type=int, default=200)
    args = parser.parse_args(argv)
    config = run_folder.start(args)
    network = run_folder.load_network(
        args.run, config, args.fcn, need=(run_folder.FCN, run_folder.TEMPLATES)
    )
    network.fcn.requires_grad_(False)
    usual = PAPER if config.fcn == "paper" else COMPACT
    settings = Settings(
        args.optimiser or usual.optimiser,
        args.rate or usual.rate,
        args.batch or usual.batch,
        args.positives if args.positives is not None else usual.positives,
    )
    train(
        network,
        CropSet(args.data),
        CropSet(args.validation),
        settings,
        args.steps,
        args.checkpoint_every,
        args.validation_crops,
        args.run,
        args.seed,
    )


if __name__ == "__main__":
    main()
