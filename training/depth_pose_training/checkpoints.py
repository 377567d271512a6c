"""A network's training run on disk: its last checkpoint and its log."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from tqdm import tqdm

_CHECKPOINT, _LOG = "checkpoint.pt", "log.jsonl"


def resume(folder: Path, model: nn.Module, optimiser: Optimizer) -> int:
    """Load a run's last checkpoint, where there is one.

    Returns:
        Steps done, 0 for a new run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _CHECKPOINT
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def save(folder: Path, model: nn.Module, optimiser: Optimizer, report: dict[str, Any]) -> None:
    """Log a report, which has the key ``step``, and replace the checkpoint, whole or not at all."""
    tqdm.write(json.dumps(report))
    with (folder / _LOG).open("a") as log:
        log.write(json.dumps(report) + "\n")
    part = folder / f"{_CHECKPOINT}.part"
    torch.save(
        {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": report["step"],
        },
        part,
    )
    part.replace(folder / _CHECKPOINT)
