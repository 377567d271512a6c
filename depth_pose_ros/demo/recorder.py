"""Listens to the camera and to the node over DDS; counts, times and keeps what comes."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.core.drawing import Person
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_ros.demo.bag_writer import BagWriter
from depth_pose_ros.demo.film import Film
from depth_pose_ros.demo.playback import CAMERA_INFO_TOPIC, DEPTH_TOPIC
from depth_pose_ros.demo.statistics import Statistics
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


class Recorder(Node):
    """Subscribes to everything in :data:`TOPICS`: first to the node, on demand to the camera.

    Args:
        bag: where every message goes as it came.
        depth_stride: only every so manieth depth image goes into the bag.
        clock: the time of arrival, seconds since the epoch.
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
        self.film = Film()
        self._bag, self._depth_stride, self._clock = bag, depth_stride, clock
        self._depth_count = 0
        self._newest_depth = self._newest_joints = 0
        self._listen(JOINTS_TOPIC, self._on_joints)
        self._listen(MARKERS_TOPIC, self._on_any)
        self._listen(TF_TOPIC, self._on_any)

    def listen_to_camera(self) -> None:
        """Subscribe to the camera, too.  The player waits for that: it is the sign to start."""
        self._listen(DEPTH_TOPIC, self._on_depth)
        self._listen(CAMERA_INFO_TOPIC, self._on_any)

    @property
    def caught_up(self) -> bool:
        """Whether the joints of the newest depth image have come."""
        return 0 < self._newest_depth <= self._newest_joints

    def sees_all_publishers(self) -> bool:
        """Whether camera and node have been discovered with everything they publish."""
        return all(self.count_publishers(topic) > 0 for topic in TOPICS)

    def _listen(self, topic: str, handler: Callable[[str, bytes], None]) -> None:
        # Serialized, as it goes into the bag.
        kind, callback = TOPICS[topic][0], partial(handler, topic)
        self.create_subscription(kind, topic, callback, QoSProfile(depth=20), raw=True)

    def _on_any(self, topic: str, data: bytes) -> None:
        now = self._clock()
        self.statistics.arrived(topic, now)
        self._bag.write(topic, round(now * 1e9), data)

    def _on_depth(self, topic: str, data: bytes) -> None:
        now = self._clock()
        self.statistics.arrived(topic, now)
        if self._depth_count % self._depth_stride == 0:
            self._bag.write(topic, round(now * 1e9), data)
        self._depth_count += 1
        image = deserialize_message(data, Image)
        self._newest_depth = stamp = nanoseconds(image.header.stamp)
        depth = np.frombuffer(image.data, "<u2").reshape(image.height, image.width)
        self.film.add_depth(stamp, depth)

    def _on_joints(self, topic: str, data: bytes) -> None:
        now = self._clock()
        self._on_any(topic, data)
        cloud = deserialize_message(data, PointCloud2)
        stamp = nanoseconds(cloud.header.stamp)
        if stamp <= self._newest_joints:  # taken back, as the camera has gone: no new image's
            return
        self._newest_joints = stamp
        people = people_in(cloud)
        self.statistics.joints(stamp * 1e-9, now, len(people))
        self.film.add_people(stamp, people)


def nanoseconds(stamp: Any) -> int:
    """builtin_interfaces/Time -> nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def people_in(cloud: PointCloud2) -> list[Person]:
    """The skeletons of a joints cloud, by number; joints that are left out become NaN.

    Args:
        cloud: as :func:`depth_pose_ros.ros.messages.cloud` makes it.
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
