"""What the training loop needs of its data: endless, resumable batches."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Protocol, TypeVar

import torch

B_co = TypeVar("B_co", covariant=True)
D = TypeVar("D")
#: Position of a loader, in a checkpoint.
SamplerState = dict[str, int]


class Loader(Protocol[B_co]):
    """Endless batches for :func:`depth_pose_training.engine.loop.fit`."""

    def start(
        self, state: Mapping[str, int] | None, step: int
    ) -> Iterator[tuple[B_co, SamplerState]]:
        """Batches, each with the state after it.

        Args:
            state: from a checkpoint; None for a new run, or an old checkpoint without one.
            step: number of steps done.
        """


def to_device(batch: D, device: torch.device) -> D:
    """Copy a dataclass of tensors to a device."""
    values = (getattr(batch, f.name) for f in fields(batch))  # type: ignore[arg-type]
    return type(batch)(*(v.to(device, non_blocking=True) for v in values))
