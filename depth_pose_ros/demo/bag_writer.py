"""Writes serialized messages into a rosbag2 in MCAP, which RViz's and Foxglove's tools open."""

import threading
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Literal

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

#: Read by every distribution from Humble on; 9 is not.
_VERSION: Literal[8] = 8


class BagWriter:
    """A bag under construction; a context manager.

    Messages are compressed and written by a thread of its own, so that recording them does not
    delay the next one's arrival.

    Args:
        path: the bag's folder, which must not exist yet.
        topics: {topic: type}, such as ``{"/tf": "tf2_msgs/msg/TFMessage"}``.  Their definitions are
            embedded; they are the same in all distributions since Humble.

    Raises:
        rosbags.rosbag2.WriterError: the folder exists.
    """

    def __init__(self, path: Path, topics: Mapping[str, str]) -> None:
        self._writer = Writer(path, version=_VERSION, storage_plugin=StoragePlugin.MCAP)
        # Compression of MCAP's own chunks: unlike rosbag2's, every MCAP reader undoes it.
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        types = get_typestore(Stores.ROS2_HUMBLE)
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=types)
            for topic, kind in topics.items()
        }
        self._queue: SimpleQueue[tuple[str, int, bytes] | None] = SimpleQueue()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="bag writer", daemon=True)
        self._thread.start()

    def write(self, topic: str, time: int, data: bytes) -> None:
        """Queue a message: CDR with its header of four bytes, received at ``time`` ns."""
        self._queue.put((topic, time, data))

    def close(self) -> None:
        """Write what is queued and finish the bag.

        Raises:
            OSError: it could not be written.
        """
        self._queue.put(None)
        self._thread.join()
        self._writer.close()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> "BagWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            topic, time, data = item
            try:
                if self._failure is None:
                    self._writer.write(self._connections[topic], time, data)
            except Exception as error:  # kept for close(), which the user's thread calls
                self._failure = error
