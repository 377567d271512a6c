"""Batches without end, the same whatever the number of processes, from any place on.

Every crop of every epoch has a seed of its own.  So a run that goes on from a checkpoint sees the
very crops that it would have seen, and processes that share a batch see one batch.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import count
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from depth_pose_training.data.batches import Batch, CropSet
from depth_pose_training.engine.distributed import Distributed
from depth_pose_training.errors import UserError

B_co = TypeVar("B_co", covariant=True)
D = TypeVar("D")
_PARTNERS = 2  # crops that one may get surroundings and a neighbour from
#: Where a stream stands, in a checkpoint.
SamplerState = dict[str, int]


class LoaderError(UserError):
    """There is too little data to make batches of."""


class Loader(Protocol[B_co]):
    """Endless batches for :func:`depth_pose_training.engine.loop.fit`."""

    def start(
        self, place: Mapping[str, int] | None, step: int
    ) -> Iterator[tuple[B_co, SamplerState]]:
        """Batches, each with the place after it, from a place on.

        Args:
            place: from a checkpoint; None for a new run, or one from before places were kept.
            step: steps done.
        """


def to_device(batch: D, device: torch.device) -> D:
    """A dataclass of tensors on a device."""
    values = (getattr(batch, f.name) for f in fields(batch))  # type: ignore[arg-type]
    return type(batch)(*(v.to(device, non_blocking=True) for v in values))


def join(parts: list[Batch]) -> Batch:
    """Several batches as one."""
    return Batch(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Batch)))


class CropLoader:
    """Shuffled epochs of augmented crops, this process's share of each batch.

    Args:
        data: the crops; alone, a process takes in shards that were added at every epoch.
        size: crops in a batch, of all processes together.
        seed: of the order and of the augmentation.
        distributed: this process among all.
        workers: processes that prepare batches; with 0, a thread does.
    """

    def __init__(
        self, data: CropSet, size: int, seed: int, distributed: Distributed, workers: int = 0
    ) -> None:
        self._data, self._size, self._seed = data, size, seed
        self._team, self._workers = distributed, workers
        self._rows = distributed.share(size)

    def start(
        self, place: Mapping[str, int] | None, step: int
    ) -> Iterator[tuple[Batch, SamplerState]]:
        """See :class:`Loader`.

        Raises:
            LoaderError: fewer crops than a batch has.
        """
        # From before places were kept: another order than the first epoch's.
        epoch, first, crops = step, 0, 0
        if place is not None:
            epoch, first, crops = place["epoch"], place["batch"], place["crops"]
        for number in count(epoch):
            if self._team.size == 1:  # others might see other files
                self._data.rescan()
            total = len(self._data)
            if total < self._size:
                raise LoaderError(f"{total} crops are too few for a batch of {self._size}")
            if number == epoch and place is not None and total != crops:
                continue  # new shards: the cut off epoch's order is gone
            batches = total // self._size
            done = first if number == epoch else 0
            plans = _Plans(self._data, self._orders(number)[done:batches], (self._seed, number))
            if not len(plans):
                continue
            for i, batch in enumerate(self._ahead(plans), start=done + 1):
                yield batch, {"epoch": number, "batch": i, "crops": total}

    def _orders(self, epoch: int) -> list[NDArray[np.int64]]:
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._data))
        last = len(order) - len(order) % self._size
        return [row[self._rows] for row in order[:last].reshape(-1, self._size)]

    def _ahead(self, plans: "_Plans") -> Iterator[Batch]:
        if self._workers:
            # Not plain forks: those of a process with native threads (OpenVINO, DDS) can crash.
            yield from DataLoader(
                plans,
                batch_size=None,
                num_workers=self._workers,
                multiprocessing_context="forkserver",
            )
            return
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(plans.__getitem__, 0)
            for i in range(1, len(plans)):
                batch, waiting = waiting.result(), thread.submit(plans.__getitem__, i)
                yield batch
            yield waiting.result()


class _Plans(Dataset[Batch]):
    """Batches by number."""

    def __init__(
        self, data: CropSet, orders: list[NDArray[np.int64]], seed: tuple[int, int]
    ) -> None:
        self._data, self._orders, self._seed = data, orders, seed

    def __len__(self) -> int:
        return len(self._orders)

    def __getitem__(self, number: int) -> Batch:
        if number + 1 < len(self):
            for i in self._orders[number + 1]:
                self._data.expect(self._rows(int(i))[0])
        return join([self._crop(int(i)) for i in self._orders[number]])

    def _rows(self, index: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        """A crop with others that may surround it, and what it is augmented by."""
        rng = np.random.default_rng((*self._seed, index))
        return np.array([index, *rng.integers(len(self._data), size=_PARTNERS)]), rng

    def _crop(self, index: int) -> Batch:
        batch = self._data.batch(*self._rows(index))
        return Batch(*(getattr(batch, f.name)[:1] for f in fields(Batch)))
