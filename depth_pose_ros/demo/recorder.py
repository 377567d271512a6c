"""Subscribes to the camera and the node; writes a bag and collects statistics and frames."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Literal

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.core.drawing import Person
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_ros.demo.playback import CAMERA_INFO_TOPIC, DEPTH_TOPIC
from depth_pose_ros.demo.recording import FrameSampler, Statistics
from depth_pose_ros.ros.messages import CLOUD_DTYPE

JOINTS_TOPIC = "/depth_pose_node/joints"
MARKERS_TOPIC = "/depth_pose_node/markers"
TF_TOPIC = "/tf"

#: {topic: (message class, type name)}, inputs first.
TOPICS: dict[str, tuple[type, str]] = {
    DEPTH_TOPIC: (Image, "sensor_msgs/msg/Image"),
    CAMERA_INFO_TOPIC: (CameraInfo, "sensor_msgs/msg/CameraInfo"),
    JOINTS_TOPIC: (PointCloud2, "sensor_msgs/msg/PointCloud2"),
    MARKERS_TOPIC: (MarkerArray, "visualization_msgs/msg/MarkerArray"),
    TF_TOPIC: (TFMessage, "tf2_msgs/msg/TFMessage"),
}

#: The newest version of the bag format that Humble reads.
_VERSION: Literal[8] = 8


class BagWriter:
    """Writes serialized messages into a rosbag2 in MCAP format; a context manager.

    A background thread compresses and writes, so that the reception of messages is not delayed.

    Args:
        path: the bag's folder, which must not exist yet.
        topics: {topic: type}, such as ``{"/tf": "tf2_msgs/msg/TFMessage"}``.  The message
            definitions, the same in all distributions since Humble, are embedded.

    Raises:
        rosbags.rosbag2.WriterError: the folder exists.
    """

    def __init__(self, path: Path, topics: Mapping[str, str]) -> None:
        self._writer = Writer(path, version=_VERSION, storage_plugin=StoragePlugin.MCAP)
        # Compression of MCAP chunks, unlike that of rosbag2, is supported by every MCAP reader.
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
        """Queue a message (CDR with its header of four bytes) received at ``time`` ns."""
        self._queue.put((topic, time, data))

    def close(self) -> None:
        """Write the queued messages and close the bag.

        Raises:
            OSError: writing failed.
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
            except Exception as error:  # raised again by close()
                self._failure = error


class Recorder(Node):
    """Subscribes to :data:`TOPICS`: to the node at once, to the camera on request.

    Args:
        bag: receives every message, serialized.
        depth_stride: write every n-th depth image to the bag.
        clock: returns the time of reception in seconds since the epoch.
        options: passed on to rclpy.
    """

    def __init__(
        self,
        bag: BagWriter,
        depth_stride: int = 1,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        super().__init__("depth_pose_demo", **options)
        self.statistics = Statistics()
        self.sampler = FrameSampler()
        self._bag, self._depth_stride, self._clock = bag, depth_stride, clock
        self._depth_count = 0
        self._newest_depth = self._newest_joints = 0
        self._subscribe(JOINTS_TOPIC, self._on_joints)
        self._subscribe(MARKERS_TOPIC, self._on_message)
        self._subscribe(TF_TOPIC, self._on_message)

    def subscribe_to_camera(self) -> None:
        """Subscribe to the camera; the player waits for this subscription before it starts."""
        self._subscribe(DEPTH_TOPIC, self._on_depth)
        self._subscribe(CAMERA_INFO_TOPIC, self._on_message)

    @property
    def caught_up(self) -> bool:
        """Whether the joints of the newest depth image have been received."""
        return 0 < self._newest_depth <= self._newest_joints

    def sees_all_publishers(self) -> bool:
        """Whether all publishers of camera and node have been discovered."""
        return all(self.count_publishers(topic) > 0 for topic in TOPICS)

    def _subscribe(self, topic: str, handler: Callable[[str, bytes], None]) -> None:
        # raw: the bag takes serialized messages.
        kind, callback = TOPICS[topic][0], partial(handler, topic)
        self.create_subscription(kind, topic, callback, QoSProfile(depth=20), raw=True)

    def _on_message(self, topic: str, data: bytes) -> None:
        now = self._clock()
        self.statistics.add_message(topic, now)
        self._bag.write(topic, round(now * 1e9), data)

    def _on_depth(self, topic: str, data: bytes) -> None:
        now = self._clock()
        self.statistics.add_message(topic, now)
        if self._depth_count % self._depth_stride == 0:
            self._bag.write(topic, round(now * 1e9), data)
        self._depth_count += 1
        image = deserialize_message(data, Image)
        self._newest_depth = stamp = nanoseconds(image.header.stamp)
        depth = np.frombuffer(image.data, "<u2").reshape(image.height, image.width)
        self.sampler.add_depth(stamp, depth)

    def _on_joints(self, topic: str, data: bytes) -> None:
        now = self._clock()
        self._on_message(topic, data)
        cloud = deserialize_message(data, PointCloud2)
        stamp = nanoseconds(cloud.header.stamp)
        if (
            stamp <= self._newest_joints
        ):  # cleared by the node after a timeout of the camera: not a new image
            return
        self._newest_joints = stamp
        people = skeletons_from_cloud(cloud)
        self.statistics.add_joints(stamp * 1e-9, now, len(people))
        self.sampler.add_people(stamp, people)


def nanoseconds(stamp: Any) -> int:
    """Convert builtin_interfaces/Time to nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def skeletons_from_cloud(cloud: PointCloud2) -> list[Person]:
    """Read the skeletons of a joints cloud, sorted by person id; missing joints are NaN.

    Args:
        cloud: made by :func:`depth_pose_ros.ros.messages.cloud`.
    """
    points = np.frombuffer(cloud.data, CLOUD_DTYPE)
    people = []
    for number in np.unique(points["person"]).tolist():
        own = points[points["person"] == number]
        joints = np.full((NUM_JOINTS, 3), np.nan, dtype=np.float32)
        confidence = np.zeros(NUM_JOINTS, dtype=np.float32)
        joints[own["joint"]] = np.stack((own["x"], own["y"], own["z"]), axis=-1)
        confidence[own["joint"]] = own["confidence"]
        people.append(Person(joints, confidence, number))
    return people
