"""The node's outputs: the publishers and what they publish for one frame."""

from collections.abc import Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from tf2_ros import TransformBroadcaster
from visualization_msgs.msg import MarkerArray

from depth_pose_ros import conversions, markers
from depth_pose_ros.identity import Person

MARKERS_TOPIC, CLOUD_TOPIC = "~/markers", "~/joints"
_DEPTH = 5  # messages; reliable and volatile, so it serves both kinds of subscriber


class Outputs:
    """Markers, TF and cloud, each only if the node's parameters ask for it.

    Every message carries the header of the depth image that it was seen in.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._markers = self._cloud = None
        self._broadcaster: TransformBroadcaster | None = None
        self._drawn: frozenset[markers.MarkerKey] = frozenset()
        self._last_header = Header()

    def open(self) -> None:
        """Create the publishers (on configure)."""
        if self._value("publish_markers"):
            self._markers = self._publisher(MarkerArray, MARKERS_TOPIC)
        if self._value("publish_cloud"):
            self._cloud = self._publisher(PointCloud2, CLOUD_TOPIC)
        if self._value("publish_tf") and self._broadcaster is None:
            # tf2 offers no way to take a broadcaster back, so it lives as long as the node.
            self._broadcaster = TransformBroadcaster(self._node)

    def close(self) -> None:
        """Destroy the publishers (on cleanup)."""
        for publisher in (self._markers, self._cloud):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)
        self._markers = self._cloud = None

    def publish(self, header: Header, people: Sequence[Person]) -> None:
        """All outputs of one frame, also of an empty one: that takes back what was there before.

        A frame without a ``frame_id`` has no place in TF, so none is sent for it.
        """
        min_confidence = self._value("min_confidence")
        if self._broadcaster is not None and people and header.frame_id:
            id_prefix = self._value("id_prefix")
            self._broadcaster.sendTransform(
                conversions.transforms(header, people, id_prefix, min_confidence)
            )
        if self._cloud is not None:
            self._cloud.publish(conversions.cloud(header, people, min_confidence))
        self._draw(header, people)
        self._last_header = header

    def take_back(self) -> None:
        """Delete what RViz still shows of the last frame."""
        if self._drawn:
            self._draw(self._last_header, [])

    def _draw(self, header: Header, people: Sequence[Person]) -> None:
        if self._markers is None:
            return
        style = markers.MarkerStyle(
            joint_diameter=self._value("joint_diameter"),
            lifetime=self._value("marker_lifetime"),
            id_prefix=self._value("id_prefix"),
            min_confidence=self._value("min_confidence"),
        )
        message = markers.markers(header, people, style, self._drawn)
        self._drawn = markers.keys(message)
        self._markers.publish(message)

    def _publisher(self, kind: type, topic: str) -> Any:
        return self._node.create_lifecycle_publisher(
            kind,
            topic,
            QoSProfile(depth=_DEPTH),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _value(self, name: str) -> Any:
        return self._node.get_parameter(name).value
