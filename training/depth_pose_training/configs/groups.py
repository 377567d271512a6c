"""Groups of options that several steps share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depth_pose_training.configs.cli import option

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class CommonOptions:
    """Options of every step that computes."""

    seed: int = option("seed of the random numbers", 0)
    threads: int = option("threads of the CPU", 2)


@dataclass(frozen=True)
class RunOptions(CommonOptions):
    """Options of the steps that share a run folder."""

    run: Path = option("run folder, shared by all steps of a model")
    model: str | None = option(
        "compact, paper or a JSON file; stored in the run folder by the first step", None
    )
    fcn: Path | None = option("checkpoint of the FCN (default: <run>/checkpoint.pt)", None)


@dataclass(frozen=True)
class LoopOptions(CommonOptions):
    """Options of the training loop."""

    data: tuple[Path, ...] = option("folders of training shards")
    validation: Path = option("folder of held-out shards")
    steps: int = option("training steps", 1000)
    checkpoint_every: int = option("steps between checkpoints", 250)
    workers: int = option("processes that prepare batches; 0 for a thread", 0)
    device: Device = option("auto selects a GPU if there is one", "auto")
    precision: Precision = option(
        "of the forward pass; bf16 is faster on GPUs and on CPUs with AMX, slower on others", "fp32"
    )
