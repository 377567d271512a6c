"""A training run on disk: its last checkpoint, whole or not at all, and its log."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from depth_pose_training.errors import UserError


class CheckpointError(UserError):
    """A checkpoint cannot be read, or belongs to another run."""


def write_whole(path: Path, data: dict[str, Any]) -> None:
    """Save tensors; a kill, or a power cut, at any moment leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(data, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_text(path: Path, text: str) -> None:
    """Atomic: a concurrent reader gets the old text or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Saved tensors, on the processor; no code runs from the file.

    Raises:
        CheckpointError: it is not such a file.
    """
    try:
        data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds
        raise CheckpointError(f"{path} is not a checkpoint: {error}") from error
    return data


class Files:
    """One training's checkpoint and log.

    Args:
        checkpoint: path of the file of the last state.
        log: path of the file of reports, a JSON object with the key "step" per line.
    """

    def __init__(self, checkpoint: Path, log: Path) -> None:
        self.checkpoint = checkpoint
        self._log = log

    def last(self) -> dict[str, Any] | None:
        """The last state, or None for a new run."""
        return read(self.checkpoint) if self.checkpoint.exists() else None

    def keep(self, report: dict[str, Any], state: dict[str, Any]) -> None:
        """Log a report and replace the state."""
        tqdm.write(json.dumps(report))
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            log.write(json.dumps(report) + "\n")
        write_whole(self.checkpoint, state)

    def forget_after(self, step: int) -> None:
        """Drop reports that a kill cut off, or whose state it kept from being written."""
        if not self._log.exists():
            return
        lines = self._log.read_text().splitlines(keepends=True)
        kept = [line for line in lines if _step(line) <= step]
        if len(kept) < len(lines):
            write_text(self._log, "".join(kept))


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
