"""What the steps of Algorithm 1 hand to one another: one folder per model.

Every step reads the files of the steps before it and writes its own; a network is put together from
whichever exist.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from depth_pose_ros.core.models import config as configs
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_training.configs import cli
from depth_pose_training.configs.groups import RunOptions
from depth_pose_training.engine import step_options
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_text
from depth_pose_training.engine.distributed import SINGLE_PROCESS, Distributed
from depth_pose_training.errors import UserError
from depth_pose_training.learning.low_rank_fcn import LowRankPaperFcn, is_low_rank

CONFIG = "config.json"  #: the model's configuration
FCN = "checkpoint.pt"  #: step 1, train_fcn
FCN_LOG = "log.jsonl"
TENSORBOARD = "tensorboard"  #: folder
JOINT_DEPTH_OFFSET = "surface.pt"  #: surface
TEMPLATES = "templates.pt"  #: step 2, templates
MATCHNET = "matchnet.pt"  #: step 2, train_matchnet
MATCHNET_LOG = "matchnet.jsonl"
INFERENCE = "inference.pt"  #: step 3, learn_inference
PERSON = "person.pt"  #: train_person, last


class RunError(UserError):
    """A step lacks the files of earlier steps, or they do not fit."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that all steps share."""
    parser.add_argument("--run", type=Path, required=True, help="folder of the model's steps")
    parser.add_argument(
        "--config",
        help="compact, paper, or a JSON file; kept in the run folder, so the first step's counts",
    )
    parser.add_argument(
        "--fcn", type=Path, help=f"step 1's checkpoint, --low-rank or not (default: <run>/{FCN})"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)


def start(
    args: argparse.Namespace | RunOptions, step: str, distributed: Distributed = SINGLE_PROCESS
) -> ModelConfig:
    """Seed, threads, the run folder and its configuration, from :func:`add_arguments`' options.

    The options are kept in the folder, in the section ``step`` of ``step_options.yaml``.

    Raises:
        RunError: another configuration than the folder's.
    """
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    # Probabilities of next to nothing are numbers that processors are very slow with.
    torch.set_flush_denormal(True)
    path = args.run / CONFIG
    kept = kept_config(args.run) if path.exists() else None
    name = args.model if isinstance(args, RunOptions) else args.config
    wanted = named_config(name) if name else kept or configs.compact()
    if kept is not None and kept != wanted:
        raise RunError(f"{path} holds another configuration: use another --run, or no --model")
    if distributed.is_main_process:
        args.run.mkdir(parents=True, exist_ok=True)
        if kept is None:
            write_text(path, wanted.to_json() + "\n")
        if isinstance(args, RunOptions):
            cli.save(args.run, step, args)
        else:
            step_options.save(args.run, step, args)
    distributed.wait()
    return wanted


def load_detector(path: Path) -> PersonDetector:
    """The person detector of a checkpoint that train_detector, unpack or average wrote.

    Raises:
        CheckpointError: the file is something else.
    """
    detector = PersonDetector(DetectorConfig())
    try:
        detector.load_state_dict(read(path)["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a detector's checkpoint: {error}") from error
    return detector


def named_config(name: str) -> ModelConfig:
    """The configuration that ``--config`` names: "compact", "paper" or a JSON file.

    Raises:
        RunError: the file cannot be read.
    """
    if name in ("compact", "paper"):
        made: ModelConfig = getattr(configs, name)()
        return made
    try:
        return ModelConfig.from_json(Path(name).read_text())
    except OSError as error:
        raise RunError(f"--config {name}: {error.strerror}") from error


def kept_config(run: Path) -> ModelConfig:
    """The configuration that a run folder's steps were made for.

    Raises:
        RunError: the folder has none.
    """
    path = run / CONFIG
    if not path.exists():
        raise RunError(f"{path} is missing: is {run} a folder that training steps wrote to?")
    return ModelConfig.from_json(path.read_text())


def load_network(
    run: Path, config: ModelConfig, fcn: Path | None = None, need: tuple[str, ...] = (FCN,)
) -> PoseNetwork:
    """The network with everything that was learned so far, in evaluation mode.

    The paper's FCN stays in factors where its checkpoint is (:func:`multiplied_out`).

    Args:
        run: the model's folder.
        config: its configuration.
        fcn: step 1's checkpoint, if it is elsewhere.
        need: files that must be there.

    Raises:
        RunError: one is missing or does not fit.
    """
    network = PoseNetwork(config).eval()
    paths = {name: run / name for name in (FCN, JOINT_DEPTH_OFFSET, TEMPLATES, MATCHNET, INFERENCE)}
    paths[FCN] = fcn or paths[FCN]
    for name in need:
        if not paths[name].exists():
            raise RunError(f"{paths[name]} is missing: run the step that makes it first")
    try:
        if paths[FCN].exists():
            state = read(paths[FCN])["model"]
            if config.fcn == "paper" and is_low_rank(state):
                # Gives the same maps sooner.
                network.fcn = LowRankPaperFcn(config.displacement).eval()  # type: ignore[assignment]
            network.fcn.load_state_dict(state)
        if paths[TEMPLATES].exists():
            _copy(network.matchnet.templates, read(paths[TEMPLATES])["templates"])
        if paths[MATCHNET].exists():
            network.matchnet.load_state_dict(read(paths[MATCHNET])["model"])
        if paths[JOINT_DEPTH_OFFSET].exists():
            _copy(network.joint_depth_offset, read(paths[JOINT_DEPTH_OFFSET])["joint_depth_offset"])
        if network.person is not None:
            network.person.load_state_dict(read(run / PERSON)["model"])
        if paths[INFERENCE].exists():
            own = network.state_dict()  # shares its tensors
            for key, value in read(paths[INFERENCE])["model"].items():
                _copy(own[key], value)
    except (RuntimeError, KeyError) as error:
        raise RunError(f"the files in {run} do not fit its configuration: {error}") from error
    return network


def multiplied_out(network: PoseNetwork) -> PoseNetwork:
    """The network itself, its FCN as the node has it."""
    if isinstance(network.fcn, LowRankPaperFcn):
        network.fcn = network.fcn.multiply_out()
    return network


def log(run: Path, step: str, entry: dict[str, Any]) -> None:
    """Append one JSON line to a step's log."""
    with (run / f"{step}.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _copy(target: Tensor, value: Tensor) -> None:
    if target.shape != value.shape:
        raise RuntimeError(f"sizes differ: {tuple(value.shape)} instead of {tuple(target.shape)}")
    with torch.no_grad():
        target.copy_(value)
