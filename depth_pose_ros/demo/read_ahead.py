"""Reading frames before they are due, while there is time for it."""

import threading
from collections.abc import Iterable, Iterator
from queue import Queue
from typing import NamedTuple

from depth_pose_ros.demo.frames import DepthFrame


class _End(NamedTuple):
    """Comes after the last frame; ``error`` says why, if it is not the end of the source."""

    error: Exception | None


def read_ahead(frames: Iterable[DepthFrame], limit: int) -> Iterator[DepthFrame]:
    """The same frames, read by a thread that begins now and stays up to ``limit`` frames ahead.

    The player has nothing to do while the node starts, but on a small machine every millisecond of
    decoding during the play is missing to the node.

    Raises:
        SourceError: what reading the source raises, once its turn comes.
    """
    queue: Queue[DepthFrame | _End] = Queue(max(limit, 1))
    threading.Thread(target=_fill, args=(queue, frames), name="read ahead", daemon=True).start()
    return _drain(queue)


def _fill(queue: "Queue[DepthFrame | _End]", frames: Iterable[DepthFrame]) -> None:
    try:
        for frame in frames:
            queue.put(frame)
    except Exception as error:  # raised again where the frames are used
        queue.put(_End(error))
    else:
        queue.put(_End(None))


def _drain(queue: "Queue[DepthFrame | _End]") -> Iterator[DepthFrame]:
    while not isinstance(item := queue.get(), _End):
        yield item
    if item.error is not None:
        raise item.error
