"""Joint, end-to-end fine-tuning of FCN, MatchNet and w under a structured loss.

``python -m depth_pose_training finetune --help``.  Starts from a run folder with all of Algorithm
1's steps and makes another, with which ``assemble`` and ``compare`` work.  A stopped run goes on;
``torchrun`` starts many processes.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_training.commands.learn_inference import quality, read_off, state
from depth_pose_training.commands.train_fcn import SIGMA
from depth_pose_training.commands.train_matchnet import COMPACT, match_loss, phase_of, picture
from depth_pose_training.configs import options
from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine import loop, winograd
from depth_pose_training.engine.checkpoints import Files, write_whole
from depth_pose_training.engine.distributed import Distributed, join
from depth_pose_training.engine.loop import LoopConfig, Task
from depth_pose_training.engine.tensorboard import Image, TensorBoardLogger
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.boxes import match_labels
from depth_pose_training.learning.losses import fcn_loss
from depth_pose_training.learning.run_folder import RunError
from depth_pose_training.structured.end_to_end import PARTS, JointModel, structured_loss
from depth_pose_training.structured.tree_data import collect
from depth_pose_training.structured.tree_problem import TreeWeights, feature_scale

CHECKPOINT, LOG = "finetune.pt", "finetune.jsonl"
#: What a complete run folder has.
ALL = (
    run_folder.FCN,
    run_folder.JOINT_DEPTH_OFFSET,
    run_folder.TEMPLATES,
    run_folder.MATCHNET,
    run_folder.INFERENCE,
)
_SCALE_CROPS = 48  # that the features' scale is measured on
_STRIDE = 2  # of the proposals that validation looks at


def put_into(network: PoseNetwork, weights: TreeWeights) -> None:
    """Give a network w, at temperature 1."""
    with torch.no_grad():
        for key, value in state(weights, network.config, 1.0).items():
            network.state_dict()[key].copy_(value)


def export(model: JointModel, out: Path) -> None:
    """The learned parts as Algorithm 1's steps leave them, weights alone."""
    network = model.network
    put_into(network, model.weights())
    write_whole(out / run_folder.FCN, {"model": network.fcn.state_dict()})
    write_whole(out / run_folder.MATCHNET, {"model": network.matchnet.state_dict()})
    learned = state(network_cpu(model.weights()), network.config, 1.0)
    write_whole(out / run_folder.INFERENCE, {"model": learned, "learner": "joint"})


def network_cpu(weights: TreeWeights) -> TreeWeights:
    """w without gradient, on the processor."""
    return TreeWeights(weights.unary.detach().cpu(), weights.gamma.detach().cpu())


def validate(model: JointModel, held_out: CropDataset, limit: int) -> dict[str, float]:
    """What learn_inference reports of its learners, with all terms made anew."""
    network = model.network
    data = collect(network, held_out, held_out.evenly_spaced(limit), _STRIDE)
    off = read_off(data, network_cpu(model.weights()), network.config.readout, 1.0)
    return quality(data, *off)


def optimizer(model: JointModel, rate: float, w_rate: float) -> torch.optim.Optimizer:
    """AdamW, with a learning rate of its own for w."""
    networks = [p for p in model.network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": networks, "weight_decay": 0.01}] if networks else []
    if model.w.requires_grad:
        groups.append({"params": [model.w], "factor": w_rate / rate, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, rate)


def learner(
    model: JointModel, held_out: CropDataset, args: argparse.Namespace, distributed: Distributed
) -> Task[Batch]:
    """The model as :func:`depth_pose_training.engine.loop.fit` wants it."""
    network = model.network
    model.to(distributed.device)
    winograd.use(network.fcn)
    shares = COMPACT  # of matches in Eqn. 7; the same for both models

    def loss(module: nn.Module, batch: Batch, step: int) -> Tensor:
        model.eval()
        phase = phase_of(step, args.batch, network.matchnet.towers, args.seed, distributed)
        with distributed.autocast(args.precision):
            output = module(batch, phase)
        total = args.structured * structured_loss(output, args.loss, args.tau)
        if args.eqn6 > 0:
            sigma = SIGMA[network.config.fcn]
            total = (
                total + args.eqn6 * fcn_loss(output.maps, batch, network.fcn.stride, sigma).total
            )
        if args.eqn7 > 0:
            labels = match_labels(output.data.pixels, batch.pixels)
            match = match_loss(output.logits, labels, batch.weight, shares.positives)
            total = total + args.eqn7 * match
        return total

    def report() -> dict[str, Any]:
        export(model, args.out)
        return validate(model, held_out, args.validation_crops)

    def draw() -> Image:
        return picture(network, held_out, "full")

    made = optimizer(model, args.rate, args.w_rate)
    return Task(model, model, made, loss, report, draw, model.stay_within_bounds)


def prepare(args: argparse.Namespace, distributed: Distributed) -> ModelConfig:
    """The new run folder, with what fine-tuning leaves as it is.

    Raises:
        RunError: it is the old one.
    """
    if args.out.resolve() == args.run.resolve():
        raise RunError("--out must be another folder than --run, which stays as it is")
    config = run_folder.kept_config(args.run)
    if distributed.is_main_process:
        args.out.mkdir(parents=True, exist_ok=True)
        for name in (run_folder.CONFIG, run_folder.JOINT_DEPTH_OFFSET, run_folder.TEMPLATES):
            if (args.run / name).exists():
                shutil.copyfile(args.run / name, args.out / name)
        options.save(args.out, "finetune", args)
    distributed.wait()
    return config


def run(args: argparse.Namespace) -> int:
    """Fine-tune by a command line's options; returns the steps done."""
    distributed = join(args.device)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)
    config = prepare(args, distributed)
    network = run_folder.load_network(args.run, config, need=ALL)
    data, held_out = CropDataset(*args.data, mapped=True), CropDataset(args.validation, mapped=True)
    sample = np.random.default_rng(args.seed).permutation(len(data))[:_SCALE_CROPS]
    scale = feature_scale(collect(network, data, sample, _STRIDE)).flat()
    model = JointModel(network, scale, tuple(args.parts))
    plan = LoopConfig(args.steps, args.checkpoint_every, args.rate, args.precision)
    return loop.fit(
        learner(model, held_out, args, distributed),
        CropLoader(data, args.batch, args.seed, distributed, args.workers),
        plan,
        Files(args.out / CHECKPOINT, args.out / LOG),
        distributed,
        TensorBoardLogger(
            args.out / run_folder.TENSORBOARD / "finetune" if distributed.is_main_process else None
        ),
    )


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder with all of Algorithm 1's steps")
    add("--out", type=Path, required=True, help="folder of the fine-tuned model")
    add("--data", type=Path, nargs="+", required=True, help="folders of training shards")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what learns")
    add("--loss", choices=("hinge", "expectation", "likelihood"), default="hinge")
    add("--structured", type=float, default=1.0, help="weight of that loss")
    add("--eqn6", type=float, default=1.0, help="weight of the FCN's own loss")
    add("--eqn7", type=float, default=1.0, help="weight of MatchNet's own loss")
    add("--tau", type=float, default=0.2, help="of Eqn. 8, in squared sides of a box")
    add("--rate", type=float, default=1e-4, help="highest learning rate of the networks")
    add("--w-rate", type=float, default=1e-3, help="highest learning rate of w, in scaled features")
    add("--batch", type=int, default=16, help="crops per step, of all processes together")
    add("--validation-crops", type=int, default=200)
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    loop.add_arguments(parser, steps=1000, every=100)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(options.parse(arguments(), "finetune", argv))
