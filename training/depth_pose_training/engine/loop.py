"""Training loop for all networks: one CPU, or many GPUs and machines."""

import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from depth_pose_training.engine import distributed as processes
from depth_pose_training.engine.checkpoints import CheckpointError, Files
from depth_pose_training.engine.distributed import Distributed, Precision
from depth_pose_training.engine.loader import Loader, to_device
from depth_pose_training.engine.schedule import one_cycle, set_rate
from depth_pose_training.engine.tensorboard import Image, TensorBoardLogger
from depth_pose_training.errors import UserError

B = TypeVar("B")
#: Maximum norm of the gradient of all parameters.
_CLIP = 5.0


class TrainingError(UserError):
    """Training cannot continue."""


@dataclass(frozen=True)
class LoopConfig:
    """Length and speed of training.

    Attributes:
        steps: in total.
        every: steps between checkpoints, which are validated.
        rate: highest learning rate.
        precision: of the network's forward pass; only "fp16" needs its loss scaled.
        stop: stop after this step already; a later call goes on.
    """

    steps: int
    every: int
    rate: float
    precision: Precision = "fp32"
    stop: int | None = None

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        return one_cycle(step, self.steps, self.rate)


@dataclass(frozen=True)
class Task(Generic[B]):
    """What learns.

    Attributes:
        model: whose parameters a checkpoint keeps.
        module: what ``loss`` calls: the model, or a module that holds it; all its parameters that
            learn take part in every step.
        optimizer: of the model's parameters.
        loss: from the module (in parallel), a batch and the steps done: a scalar.
        validate: what is reported at a checkpoint; process 0 alone calls it.
        picture: what TensorBoard shows at a checkpoint.
        after: called after every step, to keep parameters within their bounds.
    """

    model: nn.Module
    module: nn.Module
    optimizer: Optimizer
    loss: Callable[[nn.Module, B, int], Tensor]
    validate: Callable[[], dict[str, Any]]
    picture: Callable[[], Image] | None = None
    after: Callable[[], None] | None = None


def add_arguments(
    parser: ArgumentParser, steps: int, every: int, precision: Precision = "fp32"
) -> None:
    """The options that all trained networks share."""
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--checkpoint-every", type=int, default=every, help="steps")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    processes.add_arguments(parser, precision)


def fit(
    learner: Task[B],
    stream: Loader[B],
    plan: LoopConfig,
    files: Files,
    distributed: Distributed,
    logger: TensorBoardLogger,
) -> int:
    """Train, or go on training from the last checkpoint.

    A kill at any moment loses at most the steps since then.

    Returns:
        Steps done.

    Raises:
        TrainingError: the loss is not finite.
        CheckpointError: the checkpoint is of another network or optimizer.
    """
    module = distributed.parallel(learner.module)
    scaler = torch.amp.GradScaler(distributed.device.type, enabled=plan.precision == "fp16")
    state = distributed.broadcast(files.last)
    step, place = (0, None) if state is None else _restore(learner, scaler, state)
    if distributed.is_main_process:
        files.forget_after(step)
        logger.forget_after(step)
    last = min(plan.stop or plan.steps, plan.steps)
    started, since = time.monotonic(), step
    running = torch.zeros((), device=distributed.device)
    batches = islice(stream.start(place, step), max(0, last - step))
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
    with tqdm(
        total=plan.steps, initial=step, unit="step", disable=not distributed.is_main_process
    ) as bar:
        for batch, place in batches:
            set_rate(learner.optimizer, plan.rate_at(step))
            loss = learner.loss(module, to_device(batch, distributed.device), step)
            learner.optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(learner.optimizer)
            nn.utils.clip_grad_norm_(parameters, _CLIP)
            scaler.step(learner.optimizer)
            scaler.update()
            if learner.after is not None:
                learner.after()
            step += 1
            running += loss.detach()
            bar.update()
            if step % plan.every == 0 or step == last:
                mean = float(processes.average(running)) / (step - since)
                if not mean < float("inf"):
                    raise TrainingError(
                        f"the loss is {mean} after {step} steps: try a lower rate, or fp32"
                    )
                if distributed.is_main_process:
                    report = {
                        "step": step,
                        **place,
                        "loss": round(mean, 5),
                        "rate": plan.rate_at(step - 1),
                        "seconds": round(time.monotonic() - started, 1),
                        **learner.validate(),
                    }
                    files.keep(report, _state(learner, scaler, step, place))
                    logger.scalars(step, report)
                    if learner.picture is not None:
                        logger.picture(step, learner.picture)
                running.zero_()
                since = step
                distributed.wait()
    return step


def _state(
    learner: Task[B], scaler: torch.amp.GradScaler, step: int, place: dict[str, int]
) -> dict[str, Any]:
    return {
        "model": learner.model.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "step": step,
        "place": place,
    }


def _restore(
    learner: Task[B], scaler: torch.amp.GradScaler, state: dict[str, Any]
) -> tuple[int, dict[str, int] | None]:
    """Steps done, and the place in the data where it was kept.

    A file of weights without an optimizer's state is where a new run starts from.
    """
    try:
        learner.model.load_state_dict(state["model"])
        if "optimizer" not in state:
            return 0, None
        step = int(state["step"])
        if ("momentum" in state["optimizer"]["param_groups"][0]) != (
            "momentum" in learner.optimizer.param_groups[0]
        ):
            raise ValueError("it was trained with another optimizer")
        learner.optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            "the run's checkpoint does not fit: resume with the options it was made with, or use "
            f"another folder ({error})"
        ) from error
    if state.get("scaler"):
        scaler.load_state_dict(state["scaler"])
    return step, state.get("place")
