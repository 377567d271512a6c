"""The node's outputs: the publishers and what they publish for one frame."""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import PoseArray
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from tf2_ros import TransformBroadcaster
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros import markers, messages, ros4hri
from depth_pose_ros.ros.overlay import overlay
from depth_pose_ros.ros.quick_messages import TemplatedMessages

MARKERS_TOPIC, CLOUD_TOPIC = "~/markers", "~/joints"
POSES_TOPIC, OVERLAY_TOPIC = "~/poses", "~/overlay"
_DEPTH = 5  # messages; reliable and volatile, so it serves both kinds of subscriber


class View(NamedTuple):
    """One depth image and who is in it.

    Attributes:
        header: the image's.
        depth: (H, W) float32 metres, rectified.
        people: in the camera's frame, pixels in ``depth``.
    """

    header: Header
    depth: NDArray[np.float32]
    people: Sequence[Person]


class Outputs:
    """Markers, cloud, poses, overlay, TF and REP-155's topics: what the node's parameters ask for.

    Messages are made only for topics that somebody listens to.  Safe to use from several threads.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._lock = threading.RLock()
        self._publishers: dict[str, Any] = {}
        self._broadcaster: TransformBroadcaster | None = None
        self._humans: ros4hri.Ros4HriPublishers | None = None
        self._quick = TemplatedMessages()
        self._drawn: frozenset[markers.MarkerKey] = frozenset()
        self._last_header, self._anybody = Header(), False
        self.own_listeners = 0  #: of the node itself to TF, who do not count

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
                    qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                )
        if self._value("publish_tf") and self._broadcaster is None:
            # tf2 offers no way to take a broadcaster back, so it lives as long as the node.
            self._broadcaster = TransformBroadcaster(self._node)

        hri_msgs = ros4hri.messages() if self._value("publish_humans") else None
        if hri_msgs is not None:
            self._humans = ros4hri.Ros4HriPublishers(self._node, hri_msgs)

    def close(self) -> None:
        """Destroy the publishers (on cleanup)."""
        with self._lock:
            if self._humans is not None:
                self._humans.close()
                self._humans = None
            while self._publishers:
                _, publisher = self._publishers.popitem()
                self._node.destroy_lifecycle_publisher(publisher)

    def wanted(self) -> bool:
        """Whether anybody listens to anything.

        Whoever listens to TF listens to all of it, so on most robots somebody does: the parameter
        ``tf_wakes`` says whether that counts.
        """
        if any(publisher.get_subscription_count() for publisher in self._publishers.values()):
            return True
        if self._humans is not None and self._humans.wanted():
            return True
        if self._broadcaster is None or not self._value("tf_wakes"):
            return False
        return bool(self._broadcaster.pub_tf.get_subscription_count() > self.own_listeners)

    def publish_view(self, view: View) -> None:
        """What is drawn in the image's own plane."""
        min_confidence = self._value("min_confidence")
        with self._lock:
            if publisher := self._listened(OVERLAY_TOPIC):
                publisher.publish(overlay(view.header, view.depth, view.people, min_confidence))
            if self._humans is not None and self._humans.wanted():
                height, width = view.depth.shape
                self._humans.publish(
                    view.header,
                    view.people,
                    (height, width),
                    self._value("id_prefix"),
                    min_confidence,
                )

    def publish(self, header: Header, people: Sequence[Person]) -> None:
        """What is in space, also of an empty frame: that takes back what was there before.

        A frame without a ``frame_id`` has no place in TF, so none is sent for it.

        Args:
            header: the image's stamp and the people's frame.
            people: in that frame.
        """
        min_confidence = self._value("min_confidence")
        with self._lock:
            if self._broadcaster is not None and people and header.frame_id:
                id_prefix = self._value("id_prefix")
                self._broadcaster.pub_tf.publish(
                    self._quick.transforms(header, people, id_prefix, min_confidence)
                )
            if publisher := self._listened(CLOUD_TOPIC):
                publisher.publish(messages.cloud(header, people, min_confidence))
            if publisher := self._listened(POSES_TOPIC):
                publisher.publish(messages.poses(header, people))
            self._draw(header, people)
            self._last_header, self._anybody = header, bool(people)

    def take_back(self) -> None:
        """Tell everybody that nobody is there any more: markers are deleted, the cloud is empty."""
        with self._lock:
            if self._anybody or self._drawn:
                self.publish(self._last_header, [])
            if self._humans is not None and self._humans.wanted():
                self._humans.publish(self._last_header, [], (1, 1), "", 0.0)

    def _draw(self, header: Header, people: Sequence[Person]) -> None:
        publisher = self._listened(MARKERS_TOPIC)
        if publisher is None:
            return
        style = markers.MarkerStyle(
            joint_diameter=self._value("joint_diameter"),
            lifetime=self._value("marker_lifetime"),
            id_prefix=self._value("id_prefix"),
            min_confidence=self._value("min_confidence"),
        )
        publisher.publish(self._quick.markers(header, people, style, self._drawn))
        self._drawn = markers.drawn(people, style)

    def _listened(self, topic: str) -> Any:
        """The topic's publisher, or None where nobody would hear it."""
        publisher = self._publishers.get(topic)
        return publisher if publisher is not None and publisher.get_subscription_count() else None

    def _value(self, name: str) -> Any:
        return self._node.get_parameter(name).value
