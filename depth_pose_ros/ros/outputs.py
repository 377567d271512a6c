"""The node's outputs: the publishers and what they publish for one frame."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from tf2_ros import TransformBroadcaster
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros import markers, messages, ros4hri
from depth_pose_ros.ros.message_templates import TemplatedMessages
from depth_pose_ros.ros.overlay import overlay
from depth_pose_ros.ros.qos import overridable_qos

MARKERS_TOPIC, CLOUD_TOPIC = "~/markers", "~/joints"
POSES_TOPIC, OVERLAY_TOPIC = "~/poses", "~/overlay"
_DEPTH = 5  # messages; reliable and volatile, which matches both kinds of subscriber


class Outputs:
    """Markers, cloud, poses, overlay, TF and the topics of REP-155, as the node's parameters say.

    Messages are made only for topics that have subscribers.  Safe to use from several threads.

    Attributes:
        own_tf_subscriptions: number of the node's own subscriptions to TF, which do not count.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._lock = threading.RLock()
        self._publishers: dict[str, Any] = {}
        self._broadcaster: TransformBroadcaster | None = None
        self._ros4hri: ros4hri.Ros4HriPublishers | None = None
        self._templated = TemplatedMessages()
        self._marker_keys: frozenset[markers.MarkerKey] = frozenset()
        self._last_header: Header | None = None
        self._last_empty = True
        self.own_tf_subscriptions = 0

    def open(self) -> None:
        """Create the publishers (on configure)."""
        for topic, kind, parameter in (
            (MARKERS_TOPIC, MarkerArray, "publish_markers"),
            (CLOUD_TOPIC, PointCloud2, "publish_cloud"),
            (POSES_TOPIC, PoseArray, "publish_poses"),
            (OVERLAY_TOPIC, Image, "publish_overlay"),
        ):
            if self._value(parameter):
                self._publishers[topic] = self._node.create_lifecycle_publisher(
                    kind,
                    topic,
                    QoSProfile(depth=_DEPTH),
                    qos_overriding_options=overridable_qos(),
                )
        if self._value("publish_tf") and self._broadcaster is None:
            # tf2 cannot destroy a broadcaster, so it exists as long as the node.
            self._broadcaster = TransformBroadcaster(self._node)

        hri_msgs = ros4hri.load_hri_msgs() if self._value("publish_ros4hri") else None
        if hri_msgs is not None:
            self._ros4hri = ros4hri.Ros4HriPublishers(self._node, hri_msgs)

    def close(self) -> None:
        """Destroy the publishers (on cleanup)."""
        with self._lock:
            if self._ros4hri is not None:
                self._ros4hri.close()
                self._ros4hri = None
            while self._publishers:
                _, publisher = self._publishers.popitem()
                self._node.destroy_lifecycle_publisher(publisher)

    def has_subscribers(self) -> bool:
        """Whether any output has a subscriber; TF counts if ``count_tf_subscribers`` is true."""
        if any(publisher.get_subscription_count() for publisher in self._publishers.values()):
            return True
        if self._ros4hri is not None and self._ros4hri.has_subscribers():
            return True
        if self._broadcaster is None or not self._value("count_tf_subscribers"):
            return False
        return bool(self._broadcaster.pub_tf.get_subscription_count() > self.own_tf_subscriptions)

    def publish_2d(
        self, header: Header, depth: NDArray[np.float32], people: Sequence[Person]
    ) -> None:
        """Publish the outputs in the image plane: overlay and REP-155.

        Args:
            header: of the depth image.
            depth: (H, W) float32 metres, rectified.
            people: their ``pixels`` are those of ``depth``.
        """
        min_confidence = self._value("min_confidence")
        with self._lock:
            if publisher := self._subscribed(OVERLAY_TOPIC):
                publisher.publish(overlay(header, depth, people, min_confidence))
            if self._ros4hri is not None and self._ros4hri.has_subscribers():
                height, width = depth.shape
                id_prefix = self._value("id_prefix")
                self._ros4hri.publish(header, people, (height, width), id_prefix, min_confidence)

    def publish_3d(self, header: Header, people: Sequence[Person]) -> None:
        """Publish the outputs in space: TF, cloud, poses and markers, also of an empty frame.

        TF needs a ``frame_id``; without one none is published.

        Args:
            header: stamp of the image and frame of the people.
            people: in that frame.
        """
        min_confidence = self._value("min_confidence")
        with self._lock:
            if self._broadcaster is not None and people and header.frame_id:
                id_prefix = self._value("id_prefix")
                self._broadcaster.pub_tf.publish(
                    self._templated.transforms(header, people, id_prefix, min_confidence)
                )
            if publisher := self._subscribed(CLOUD_TOPIC):
                publisher.publish(messages.cloud(header, people, min_confidence))
            if publisher := self._subscribed(POSES_TOPIC):
                publisher.publish(messages.poses(header, people))
            self._publish_markers(header, people)
            self._last_header, self._last_empty = header, not people

    def clear(self) -> None:
        """Publish that there are no people: markers are deleted, the cloud is empty."""
        with self._lock:
            if self._last_header is None:
                return
            if self._marker_keys or not self._last_empty:
                self.publish_3d(self._last_header, [])
            if self._ros4hri is not None and self._ros4hri.has_subscribers():
                self._ros4hri.publish(self._last_header, [], (1, 1), "", 0.0)

    def _publish_markers(self, header: Header, people: Sequence[Person]) -> None:
        publisher = self._subscribed(MARKERS_TOPIC)
        if publisher is None:
            return
        style = markers.MarkerStyle(
            joint_diameter=self._value("joint_diameter"),
            lifetime=self._value("marker_lifetime"),
            id_prefix=self._value("id_prefix"),
            min_confidence=self._value("min_confidence"),
        )
        publisher.publish(self._templated.markers(header, people, style, self._marker_keys))
        self._marker_keys = markers.keys(people, style)

    def _subscribed(self, topic: str) -> Any:
        """The topic's publisher, or None if it has no subscriber."""
        publisher = self._publishers.get(topic)
        return publisher if publisher is not None and publisher.get_subscription_count() else None

    def _value(self, name: str) -> Any:
        return self._node.get_parameter(name).value
