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
    """A network, its optimizer and its loss.

    Attributes:
        model: whose parameters a checkpoint keeps.
        module: what ``loss`` calls: the model, or a module that holds it; all its trainable
            parameters take part in every step.
        optimizer: of the model's parameters.
        loss: from the module (in parallel), a batch and the steps done: a scalar.
        validate: what is reported at a checkpoint; process 0 alone calls it.
        picture: image for TensorBoard at a checkpoint.
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
    task: Task[B],
    loader: Loader[B],
    config: LoopConfig,
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
    module = distributed.parallel(task.module)
    scaler = torch.amp.GradScaler(distributed.device.type, enabled=config.precision == "fp16")
    state = distributed.broadcast(files.last)
    step, loader_state = (0, None) if state is None else _restore(task, scaler, state)
    if distributed.is_main_process:
        files.forget_after(step)
        logger.forget_after(step)
    last = min(config.stop or config.steps, config.steps)
    started, since = time.monotonic(), step
    running = torch.zeros((), device=distributed.device)
    batches = islice(loader.start(loader_state, step), max(0, last - step))
    parameters = [p for group in task.optimizer.param_groups for p in group["params"]]
    with tqdm(
        total=config.steps, initial=step, unit="step", disable=not distributed.is_main_process
    ) as bar:
        for batch, loader_state in batches:
            set_rate(task.optimizer, config.rate_at(step))
            loss = task.loss(module, to_device(batch, distributed.device), step)
            task.optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(task.optimizer)
            nn.utils.clip_grad_norm_(parameters, _CLIP)
            scaler.step(task.optimizer)
            scaler.update()
            if task.after is not None:
                task.after()
            step += 1
            running += loss.detach()
            bar.update()
            if step % config.every == 0 or step == last:
                mean = float(processes.average(running)) / (step - since)
                if not mean < float("inf"):
                    raise TrainingError(
                        f"the loss is {mean} after {step} steps: try a lower rate, or fp32"
                    )
                if distributed.is_main_process:
                    report = {
                        "step": step,
                        **loader_state,
                        "loss": round(mean, 5),
                        "rate": config.rate_at(step - 1),
                        "seconds": round(time.monotonic() - started, 1),
                        **task.validate(),
                    }
                    files.keep(report, _state(task, scaler, step, loader_state))
                    logger.scalars(step, report)
                    if task.picture is not None:
                        logger.picture(step, task.picture)
                running.zero_()
                since = step
                distributed.wait()
    return step


def _state(
    task: Task[B], scaler: torch.amp.GradScaler, step: int, loader_state: dict[str, int]
) -> dict[str, Any]:
    return {
        "model": task.model.state_dict(),
        "optimizer": task.optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "step": step,
        "place": loader_state,
    }


def _restore(
    task: Task[B], scaler: torch.amp.GradScaler, state: dict[str, Any]
) -> tuple[int, dict[str, int] | None]:
    """Steps done, and the state of the loader at that step.

    A file of weights without an optimizer's state is where a new run starts from.
    """
    try:
        task.model.load_state_dict(state["model"])
        if "optimizer" not in state:
            return 0, None
        step = int(state["step"])
        if ("momentum" in state["optimizer"]["param_groups"][0]) != (
            "momentum" in task.optimizer.param_groups[0]
        ):
            raise ValueError("it was trained with another optimizer")
        task.optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            "the run's checkpoint does not fit: resume with the options it was made with, or use "
            f"another folder ({error})"
        ) from error
    if state.get("scaler"):
        scaler.load_state_dict(state["scaler"])
    return step, state.get("place")
