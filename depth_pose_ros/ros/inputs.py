"""The node's inputs: depth images, raw or compressed, and the camera's calibration."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_pose_ros.core import compressed_depth
from depth_pose_ros.ros.reader import DepthReader

DEPTH_TOPIC, CAMERA_INFO_TOPIC = "depth/image", "depth/camera_info"
COMPRESSED = "compressedDepth"  #: image_transport's name of the transport, and the topic's ending

DepthMessage: TypeAlias = Image | CompressedImage


class Inputs:
    """The subscriptions.

    Args:
        node: what they belong to.
        on_image: called with every depth message, in the executor's thread.

    Attributes:
        camera_info: the latest, None before the first.
    """

    def __init__(self, node: Node, on_image: Callable[[DepthMessage], None]) -> None:
        self._node = node
        self._on_image = on_image
        self._subscriptions: list[Any] = []
        self.camera_info: CameraInfo | None = None

    def open(self, transport: str) -> None:
        """Subscribe.

        Args:
            transport: "raw" or :data:`COMPRESSED`, whose topic image_transport puts below the
                image's own, after remapping.
        """
        if transport == COMPRESSED:
            topic = f"{self._node.resolve_topic_name(DEPTH_TOPIC)}/{COMPRESSED}"
            self._subscribe(CompressedImage, topic, self._on_image)
        else:
            self._subscribe(Image, DEPTH_TOPIC, self._on_image)
        self._subscribe(CameraInfo, CAMERA_INFO_TOPIC, self._on_camera_info)

    def close(self) -> None:
        """Unsubscribe and forget the camera."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
        self.camera_info = None

    @property
    def topics(self) -> tuple[str, str]:
        """Of depth and calibration, as subscribed to."""
        depth, info = (subscription.topic_name for subscription in self._subscriptions)
        return depth, info

    def complaint(self, images: int, seconds: float) -> str:
        """What is missing; "" where nothing is.

        Args:
            images: how many have come.
            seconds: how long nothing has come.
        """
        depth, info = self.topics
        if images == 0:
            return (
                f"No depth image on {depth} for {seconds:.0f} s "
                f"({self._node.count_publishers(depth)} publishers): is the camera running, and is "
                f"{DEPTH_TOPIC} remapped to its topic?"
            )
        if self.camera_info is None:
            return (
                f"Depth images arrive, but no camera_info on {info} "
                f"({self._node.count_publishers(info)} publishers): is {CAMERA_INFO_TOPIC} "
                "remapped to the topic beside the depth image?"
            )
        return ""

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        # REP-2003: sensor data is best effort, and of a stream only the newest frame matters.  A
        # profile of its own, because rclpy writes the overrides into the one it is given.
        self._subscriptions.append(
            self._node.create_subscription(
                kind,
                topic,
                callback,
                QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        )

    def _on_camera_info(self, info: CameraInfo) -> None:
        self.camera_info = info


def metres(message: DepthMessage, reader: DepthReader) -> NDArray[np.float32]:
    """(H, W) float32 metres of a depth message as it came, 0 where invalid.

    Raises:
        DepthError: not a depth image, or not a whole one.
    """
    if isinstance(message, CompressedImage):
        return compressed_depth.decode(message.format, message.data)
    return reader.metres(message)
