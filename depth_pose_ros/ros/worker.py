"""A thread that always works on the newest item."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """Runs ``work`` on a thread of its own; while it is busy only the newest item waits.

    A camera is faster than a neural network.  A queue would add delay with every frame; here an
    item that comes while another one waits takes its place.

    Args:
        work: called with one item at a time; it must not raise.
        name: the thread's name.
    """

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        self._work = work
        self._wake = threading.Condition()
        self._item: T | None = None
        self._stopping = False
        self._dropped = 0
        # A daemon: a device that hangs in the middle of an inference must not keep the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many items were replaced by a newer one before their turn came."""
        return self._dropped

    def put(self, item: T) -> None:
        """Offer an item; never blocks."""
        with self._wake:
            if self._item is not None:
                self._dropped += 1
            self._item = item
            self._wake.notify()

    def stop(self, timeout: float) -> bool:
        """Finish the item in work, forget the one that waits; True if done in ``timeout`` s."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._item is not None)
                if self._stopping:
                    return
                item, self._item = self._item, None
            assert item is not None
            self._work(item)
