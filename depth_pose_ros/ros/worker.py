"""A thread that always processes the newest item."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """Runs ``work`` on its own thread; while it is busy, only the newest item waits.

    A camera is faster than a neural network.  A queue would add latency with every frame; here a
    new item replaces the one that waits.

    Args:
        work: called with one item at a time; must not raise.
        name: of the thread.
    """

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        self._work = work
        self._condition = threading.Condition()
        self._item: T | None = None
        self._stopping = False
        self._dropped = 0
        # A daemon thread: an inference that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Number of items replaced by a newer one before they were processed."""
        return self._dropped

    def put(self, item: T) -> None:
        """Offer an item; never blocks."""
        with self._condition:
            if self._item is not None:
                self._dropped += 1
            self._item = item
            self._condition.notify()

    def stop(self, timeout: float) -> bool:
        """Finish the current item, discard the waiting one; True if done within ``timeout`` s."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._item is not None)
                if self._stopping:
                    return
                item, self._item = self._item, None
            assert item is not None
            self._work(item)
