"""End-to-end fine-tuning of FCN, MatchNet and w with a structured loss.

Starts from a run folder with all steps of Algorithm 1 and writes a new one.  An interrupted run
continues from its last checkpoint; torchrun starts several processes.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_training.configs import cli
from depth_pose_training.configs.cli import option
from depth_pose_training.configs.groups import LoopOptions
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
from depth_pose_training.learning.train_fcn import SIGMA
from depth_pose_training.learning.train_matchnet import COMPACT, match_loss, phase_of, picture
from depth_pose_training.structured.end_to_end import (
    PARTS,
    JointModel,
    LossName,
    Part,
    structured_loss,
)
from depth_pose_training.structured.learn_inference import decode, quality, state
from depth_pose_training.structured.tree_data import collect
from depth_pose_training.structured.tree_problem import TreeWeights, feature_scale

CHECKPOINT, LOG = "finetune.pt", "finetune.jsonl"
#: Files of a complete run folder.
ALL = (
    run_folder.FCN,
    run_folder.JOINT_DEPTH_OFFSET,
    run_folder.TEMPLATES,
    run_folder.MATCHNET,
    run_folder.INFERENCE,
)
_SCALE_CROPS = 48  # from which the scale of the features is measured
_STRIDE = 2  # of the proposals, for the scale and for validation


@dataclass(frozen=True)
class FinetuneOptions(LoopOptions):
    """Options of the step."""

    run: Path = option("run folder with all steps of Algorithm 1")
    out: Path = option("run folder of the fine-tuned model")
    parts: tuple[Part, ...] = option("parts that are trained", PARTS)
    loss: LossName = option("structured loss", "hinge")
    structured: float = option("weight of the structured loss", 1.0)
    eqn6: float = option("weight of the FCN's loss", 1.0)
    eqn7: float = option("weight of MatchNet's loss", 1.0)
    tau: float = option("tau of Eqn. 8, in squared box sides", 0.2)
    rate: float = option("maximum learning rate of the networks", 1e-4)
    w_rate: float = option("maximum learning rate of w, for scaled features", 1e-3)
    batch: int = option("crops per step, of all processes together", 16)
    checkpoint_every: int = option("steps between checkpoints", 100)
    validation_crops: int = option("number of crops for validation", 200)


def set_weights(network: PoseNetwork, weights: TreeWeights) -> None:
    """Copy w into a network, at temperature 1."""
    with torch.no_grad():
        for key, value in state(weights, network.config, 1.0).items():
            network.state_dict()[key].copy_(value)


def export(model: JointModel, out: Path) -> None:
    """Write the weights to a run folder, as the steps of Algorithm 1 do."""
    network, weights = model.network, model.weights().on_cpu()
    set_weights(network, weights)
    write_whole(out / run_folder.FCN, {"model": network.fcn.state_dict()})
    write_whole(out / run_folder.MATCHNET, {"model": network.matchnet.state_dict()})
    learned = state(weights, network.config, 1.0)
    write_whole(out / run_folder.INFERENCE, {"model": learned, "learner": "joint"})


def validate(model: JointModel, held_out: CropDataset, limit: int) -> dict[str, float]:
    """:func:`quality` on held-out crops, as in learn_inference."""
    network = model.network
    data = collect(network, held_out, held_out.evenly_spaced(limit), _STRIDE)
    return quality(data, *decode(data, model.weights().on_cpu(), network.config.readout, 1.0))


def optimizer(model: JointModel, rate: float, w_rate: float) -> torch.optim.Optimizer:
    """AdamW with a separate learning rate for w."""
    networks = [p for p in model.network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": networks, "weight_decay": 0.01}] if networks else []
    if model.w.requires_grad:
        groups.append({"params": [model.w], "factor": w_rate / rate, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, rate)


def task(
    model: JointModel, held_out: CropDataset, options: FinetuneOptions, distributed: Distributed
) -> Task[Batch]:
    """The task for :func:`depth_pose_training.engine.loop.fit`."""
    network = model.network
    model.to(distributed.device)
    winograd.use(network.fcn)

    def loss(module: nn.Module, batch: Batch, step: int) -> Tensor:
        model.eval()
        phase = phase_of(step, options.batch, network.matchnet.towers, options.seed, distributed)
        with distributed.autocast(options.precision):
            output = module(batch, phase)
        total = options.structured * structured_loss(output, options.loss, options.tau)
        if options.eqn6 > 0:
            sigma = SIGMA[network.config.fcn]
            maps_loss = fcn_loss(output.maps, batch, network.fcn.stride, sigma).total
            total = total + options.eqn6 * maps_loss
        if options.eqn7 > 0:
            labels = match_labels(output.data.pixels, batch.pixels)
            match = match_loss(output.logits, labels, batch.weight, COMPACT.positives)
            total = total + options.eqn7 * match
        return total

    def report() -> dict[str, Any]:
        export(model, options.out)
        return validate(model, held_out, options.validation_crops)

    def draw() -> Image:
        return picture(network, held_out, "full")

    made = optimizer(model, options.rate, options.w_rate)
    return Task(model, model, made, loss, report, draw, model.stay_within_bounds)


def prepare(options: FinetuneOptions, distributed: Distributed) -> ModelConfig:
    """Create the new run folder with copies of the files that fine-tuning does not change.

    Raises:
        RunError: it is the same folder as ``run``.
    """
    if options.out.resolve() == options.run.resolve():
        raise RunError("--out must be another folder than --run")
    config = run_folder.kept_config(options.run)
    if distributed.is_main_process:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in (run_folder.CONFIG, run_folder.JOINT_DEPTH_OFFSET, run_folder.TEMPLATES):
            if (options.run / name).exists():
                shutil.copyfile(options.run / name, options.out / name)
        cli.save(options.out, "finetune", options)
    distributed.wait()
    return config


def finetune(options: FinetuneOptions) -> int:
    """Fine-tune; returns the number of steps done."""
    distributed = join(options.device)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    torch.set_flush_denormal(True)
    network = run_folder.load_network(options.run, prepare(options, distributed), need=ALL)
    data, held_out = (
        CropDataset(*options.data, mapped=True),
        CropDataset(options.validation, mapped=True),
    )
    sample = np.random.default_rng(options.seed).permutation(len(data))[:_SCALE_CROPS]
    scale = feature_scale(collect(network, data, sample, _STRIDE)).flat()
    model = JointModel(network, scale, options.parts)
    folder = options.out / run_folder.TENSORBOARD / "finetune"
    config = LoopConfig(options.steps, options.checkpoint_every, options.rate, options.precision)
    return loop.fit(
        task(model, held_out, options, distributed),
        CropLoader(data, options.batch, options.seed, distributed, options.workers),
        config,
        Files(options.out / CHECKPOINT, options.out / LOG),
        distributed,
        TensorBoardLogger(folder if distributed.is_main_process else None),
    )
