"""Endless, resumable batches that do not depend on the number of processes.

Each crop of each epoch has its own seed: a run that resumes from a checkpoint gets the same crops
as one that was not interrupted, and the processes of a distributed run share one batch.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.engine.distributed import Distributed
from depth_pose_training.engine.loader import SamplerState
from depth_pose_training.errors import UserError

_PARTNERS = 2  # other crops that provide the background and a second person


class LoaderError(UserError):
    """The data is too small for a batch."""


def join(parts: list[Batch]) -> Batch:
    """Concatenate batches."""
    return Batch(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Batch)))


class CropLoader:
    """Shuffled epochs of augmented crops: this process's share of each batch.

    Args:
        data: the crops; a run of one process adds new shards at each epoch.
        size: batch size of all processes together.
        seed: of the order and of the augmentation.
        distributed: this process.
        workers: number of processes that prepare batches; 0 for a thread.
    """

    def __init__(
        self, data: CropDataset, size: int, seed: int, distributed: Distributed, workers: int = 0
    ) -> None:
        self._data, self._size, self._seed = data, size, seed
        self._distributed, self._workers = distributed, workers
        self._share = distributed.share(size)

    def start(
        self, state: Mapping[str, int] | None, step: int
    ) -> Iterator[tuple[Batch, SamplerState]]:
        """See :class:`Loader`.

        Raises:
            LoaderError: there are fewer crops than the batch size.
        """
        # An old checkpoint has no state: continue with another order than the first epoch's.
        epoch, first, crops = step, 0, 0
        if state is not None:
            epoch, first, crops = state["epoch"], state["batch"], state["crops"]
        for number in count(epoch):
            if self._distributed.size == 1:  # several processes might see different files
                self._data.rescan()
            total = len(self._data)
            if total < self._size:
                raise LoaderError(f"{total} crops are too few for a batch of {self._size}")
            if number == epoch and state is not None and total != crops:
                continue  # there are new shards: skip the rest of the interrupted epoch
            batches = total // self._size
            done = first if number == epoch else 0
            indices = self._indices(number)[done:batches]
            if not indices:
                continue
            epoch_batches = _EpochBatches(self._data, indices, (self._seed, number))
            for i, batch in enumerate(self._prefetched(epoch_batches), start=done + 1):
                yield batch, {"epoch": number, "batch": i, "crops": total}

    def _indices(self, epoch: int) -> list[NDArray[np.int64]]:
        """Of this process's crops in each batch."""
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._data))
        last = len(order) - len(order) % self._size
        return [row[self._share] for row in order[:last].reshape(-1, self._size)]

    def _prefetched(self, batches: "_EpochBatches") -> Iterator[Batch]:
        if self._workers:
            # Not "fork": forks of a process with native threads (OpenVINO, DDS) can crash.
            yield from DataLoader(
                batches,
                batch_size=None,
                num_workers=self._workers,
                multiprocessing_context="forkserver",
            )
            return
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(batches.__getitem__, 0)
            for i in range(1, len(batches)):
                batch, waiting = waiting.result(), thread.submit(batches.__getitem__, i)
                yield batch
            yield waiting.result()


class _EpochBatches(Dataset[Batch]):
    """The batches of an epoch by number."""

    def __init__(
        self, data: CropDataset, indices: list[NDArray[np.int64]], seed: tuple[int, int]
    ) -> None:
        self._data, self._indices, self._seed = data, indices, seed

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, number: int) -> Batch:
        if number + 1 < len(self):
            for i in self._indices[number + 1]:
                self._data.prefetch(self._rows(int(i))[0])
        return join([self._crop(int(i)) for i in self._indices[number]])

    def _rows(self, index: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        """A crop with its augmentation partners, and the generator of its augmentation."""
        rng = np.random.default_rng((*self._seed, index))
        return np.array([index, *rng.integers(len(self._data), size=_PARTNERS)]), rng

    def _crop(self, index: int) -> Batch:
        batch = self._data.batch(*self._rows(index))
        return Batch(*(getattr(batch, f.name)[:1] for f in fields(Batch)))
