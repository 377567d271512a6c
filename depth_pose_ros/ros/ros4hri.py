"""Topics of REP-155 (ROS4HRI), if the package hri_msgs is installed.

``/humans/bodies/tracked`` lists the ids of all tracked bodies; each body has ``skeleton2d`` and
``roi`` below ``/humans/bodies/<id>/``.  Their coordinates are normalized: (0, 0) is the image's top
left corner and (1, 1) its bottom right one.
"""

import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros.messages import body_id, published_joints

BODIES = "/humans/bodies"
_DEPTH = 5  # messages
#: Seconds for which the topics of a lost body are kept, so that subscribers stay connected if the
#: body is detected again.
_TOPIC_TIMEOUT = 5.0
#: Key points of hri_msgs/Skeleton2D and the joints of this skeleton, which has no face.
_KEY_POINTS = {
    "NECK": "Neck",
    "RIGHT_SHOULDER": "RightShoulder",
    "RIGHT_ELBOW": "RightElbow",
    "RIGHT_WRIST": "RightWrist",
    "RIGHT_HIP": "RightHip",
    "RIGHT_KNEE": "RightKnee",
    "RIGHT_ANKLE": "RightFoot",
    "LEFT_SHOULDER": "LeftShoulder",
    "LEFT_ELBOW": "LeftElbow",
    "LEFT_WRIST": "LeftWrist",
    "LEFT_HIP": "LeftHip",
    "LEFT_KNEE": "LeftKnee",
    "LEFT_ANKLE": "LeftFoot",
}


def load_hri_msgs() -> ModuleType | None:
    """``hri_msgs.msg``, or None if it is not installed."""
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError:
        return None


class Ros4HriPublishers:
    """The publishers of REP-155: one for the list of bodies, two for each body.

    Args:
        node: owner of the publishers.
        messages: the module ``hri_msgs.msg``.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, node: Node, messages: Any, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node, self._messages, self._clock = node, messages, clock
        self._tracked = self._publisher(messages.IdsList, "tracked")
        self._bodies: dict[str, tuple[Any, Any]] = {}  # by id: skeleton2d and roi
        self._seen: dict[str, float] = {}

    def has_subscribers(self) -> bool:
        """Whether any of the topics has a subscriber."""
        publishers = [self._tracked, *(p for pair in tuple(self._bodies.values()) for p in pair)]
        return any(publisher.get_subscription_count() for publisher in publishers)

    def publish(
        self,
        header: Header,
        people: Iterable[Person],
        size: tuple[int, int],
        id_prefix: str,
        min_confidence: float,
    ) -> None:
        """Publish all topics for one frame.

        Args:
            header: of the depth image.
            people: their ``pixels`` are those of that image.
            size: its height and width in pixels.
            id_prefix, min_confidence: see the node's parameters.
        """
        now, ids = self._clock(), []
        for person in people:
            identifier = body_id(person, id_prefix)
            ids.append(identifier)
            self._seen[identifier] = now
            if identifier not in self._bodies:
                self._bodies[identifier] = (
                    self._publisher(self._messages.Skeleton2D, f"{identifier}/skeleton2d"),
                    self._publisher(
                        self._messages.NormalizedRegionOfInterest2D, f"{identifier}/roi"
                    ),
                )
            joints = published_joints(person, min_confidence)
            skeleton, roi = self._bodies[identifier]
            skeleton.publish(skeleton2d(self._messages, header, person, joints, size))
            roi.publish(region_of_interest(self._messages, header, person, joints, size))
        self._tracked.publish(self._messages.IdsList(header=header, ids=ids))
        for identifier in [i for i, last in self._seen.items() if now - last > _TOPIC_TIMEOUT]:
            del self._seen[identifier]
            for publisher in self._bodies.pop(identifier):
                self._node.destroy_publisher(publisher)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in [self._tracked, *(p for pair in self._bodies.values() for p in pair)]:
            self._node.destroy_publisher(publisher)
        self._bodies.clear()
        self._seen.clear()

    def _publisher(self, kind: type, name: str) -> Any:
        return self._node.create_publisher(kind, f"{BODIES}/{name}", QoSProfile(depth=_DEPTH))


def skeleton2d(
    messages: Any, header: Header, person: Person, joints: Sequence[int], size: tuple[int, int]
) -> Any:
    """``hri_msgs/Skeleton2D``; key points not published or outside the image are 0."""
    message = messages.Skeleton2D(header=header)
    for key_point, joint_name in _KEY_POINTS.items():
        joint = INDEX[joint_name]
        x, y = _normalized(person, [joint], size)[0].tolist()
        if joint in joints and 0 <= x <= 1 and 0 <= y <= 1:
            point = message.skeleton[getattr(messages.Skeleton2D, key_point)]
            point.x, point.y, point.c = x, y, float(person.pose.confidence[joint])
    return message


def region_of_interest(
    messages: Any, header: Header, person: Person, joints: Sequence[int], size: tuple[int, int]
) -> Any:
    """``hri_msgs/NormalizedRegionOfInterest2D`` around the published joints, within the image."""
    points = _normalized(person, joints, size)
    points = np.clip(points[np.isfinite(points).all(axis=1)], 0.0, 1.0)
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else np.zeros((2, 2))
    return messages.NormalizedRegionOfInterest2D(
        header=header,
        xmin=float(low[0]),
        ymin=float(low[1]),
        xmax=float(high[0]),
        ymax=float(high[1]),
        c=float(np.clip(person.pose.score, 0.0, 1.0)),
    )


def _normalized(
    person: Person, joints: Sequence[int], size: tuple[int, int]
) -> NDArray[np.float64]:
    """(N, 2) x, y in the image's width and height; (0, 0) is the first pixel's corner."""
    height, width = size
    return (person.pose.pixels[list(joints)].astype(np.float64) + 0.5) / (width, height)
