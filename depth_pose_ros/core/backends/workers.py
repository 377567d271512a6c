"""A fixed number of threads that share a list of tasks."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")


class Workers:
    """Threads for work that releases Python's lock.

    Args:
        count: number of threads, the calling one among them.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        if count > 1:
            # torch keeps its number of threads per thread.
            self._pool = ThreadPoolExecutor(
                count - 1, "pose", initializer=partial(torch.set_num_threads, 1)
            )

    def map(self, function: Callable[[int, Item], Any], items: Sequence[Item]) -> list[Any]:
        """``function(worker, item)`` of every item, with worker below :attr:`count`.

        A free worker takes the next item.  Must not be called from within a worker.
        """
        results: list[Any] = [None] * len(items)
        following = count()

        def work(worker: int) -> None:
            while (i := next(following)) < len(items):
                results[i] = function(worker, items[i])

        last = min(self.count, len(items)) - 1
        futures = [self._pool.submit(work, worker) for worker in range(last)] if self._pool else []
        work(last)
        for future in futures:
            future.result()
        return results
