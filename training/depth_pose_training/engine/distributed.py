"""One process or many: the same code under ``python -m`` and under ``torchrun``.

torch's own DistributedDataParallel, started by torchrun: it needs nothing installed beside torch
(Lightning Fabric, the alternative, brings ten packages), and every process runs the same command:

    torchrun --nproc-per-node 8 -m -- depth_pose_training train_fcn ...

A batch's size is that of all processes together, and losses are normalized over all of them, so the
number of processes changes the speed and not the result.  One thing excepted: batch normalization
takes its statistics from all processes on GPUs (SyncBatchNorm), but on processors, where torch has
no such layer, from each process's own share, and the running ones from process 0's.
"""

import atexit
import os
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from depth_pose_training.errors import UserError

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Process 0 validates, and clusters templates, while the others wait.
_PATIENCE = timedelta(hours=12)
T = TypeVar("T")


class DistributedError(UserError):
    """The requested processes or device are not available."""


@dataclass(frozen=True)
class Distributed:
    """This process among all of them.

    Attributes:
        rank: from 0.
        size: how many there are.
        device: where this one computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes what is written once: checkpoints, logs, pictures."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's rows of a batch of ``count``.

        Raises:
            DistributedError: ``count`` is not a multiple of the distributed's size.
        """
        if count % self.size:
            raise DistributedError(
                f"a batch of {count} cannot be shared by {self.size} processes evenly"
            )
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module on this distributed's device, its gradients averaged over the processes.

        Its parameters stay the same objects.
        """
        module.to(self.device)
        if self.size == 1:
            return module
        gpu = self.device.type == "cuda"
        if gpu:
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return DistributedDataParallel(module, device_ids=[self.device.index] if gpu else None)

    def autocast(self, precision: Precision) -> AbstractContextManager[object]:
        """Mixed precision on this distributed's device."""
        return torch.autocast(self.device.type, _DTYPES[precision], enabled=precision != "fp32")

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.size > 1:
            distributed.barrier()

    def broadcast(self, make: Callable[[], T]) -> T:
        """What process 0 makes, given to all; no shared file system is needed."""
        made = [make() if self.is_main_process else None]
        if self.size > 1:
            distributed.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[return-value]


SINGLE_PROCESS = Distributed(0, 1, torch.device("cpu"))


def add_arguments(parser: ArgumentParser, precision: Precision = "fp32") -> None:
    """The options of :func:`join` and :meth:`Distributed.autocast`."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if any"
    )
    parser.add_argument(
        "--precision",
        choices=tuple(_DTYPES),
        default=precision,
        help="bf16 pays on GPUs and on processors with AMX; it is slower than fp32 on others",
    )


def join(device: str = "auto") -> Distributed:
    """This process's distributed, from what torchrun says; alone where it says nothing.

    Raises:
        DistributedError: a GPU is requested and there is none.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if device == "cuda" and not torch.cuda.is_available():
        raise DistributedError("no GPU is available: use --device cpu, or auto")
    gpu = torch.cuda.is_available() and device != "cpu"
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    if size > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
        atexit.register(distributed.destroy_process_group)
    where = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
    return Distributed(rank, size, where)


def average(total: Tensor) -> Tensor:
    """A number's mean over all processes, without gradient; the number itself for one alone.

    What a loss is divided by.  Gradients are averaged over the processes too, so a share's sum over
    the mean normalizer is, in the end, the whole sum over the whole normalizer.
    """
    if not distributed.is_initialized():
        return total
    total = total.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
