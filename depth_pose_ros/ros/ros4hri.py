"""People on the topics of REP-155 (ROS4HRI), where the package hri_msgs is installed.

``/humans/bodies/tracked`` lists the ids of the bodies in view; each body has ``skeleton2d`` and
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
from depth_pose_ros.ros.messages import body_id, shown

BODIES = "/humans/bodies"
_DEPTH = 5  # messages
#: Seconds for which a body's topics outlive it: who is lost for a moment keeps the subscribers.
_LINGER = 5.0
#: hri_msgs/Skeleton2D's key points that this skeleton has; it has no face.
_KEY_POINTS = {
    "NECK": "Neck",
    **{
        f"{side.upper()}_{theirs.upper()}": f"{side}{ours}"
        for side in ("Right", "Left")
        for theirs, ours in (
            ("Shoulder", "Shoulder"),
            ("Elbow", "Elbow"),
            ("Wrist", "Wrist"),
            ("Hip", "Hip"),
            ("Knee", "Knee"),
            ("Ankle", "Foot"),
        )
    },
}


def messages() -> ModuleType | None:
    """``hri_msgs.msg``, or None: it is not released for every distribution."""
    try:
        return importlib.import_module("hri_msgs.msg")
    except ImportError:
        return None


class Ros4HriPublishers:
    """The publishers of REP-155; one for all bodies, two more for each.

    Args:
        node: what they belong to.
        messages: the module ``hri_msgs.msg``.
        clock: seconds that never go back.
    """

    def __init__(
        self, node: Node, messages: Any, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node, self._messages, self._clock = node, messages, clock
        self._tracked = self._publisher(messages.IdsList, "tracked")
        self._bodies: dict[str, tuple[Any, Any]] = {}  # of an id: skeleton2d and roi
        self._seen: dict[str, float] = {}

    def wanted(self) -> bool:
        """Whether anybody listens."""
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
        """All topics, for one frame.

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
            joints = shown(person, min_confidence)
            skeleton, roi = self._bodies[identifier]
            skeleton.publish(skeleton2d(self._messages, header, person, joints, size))
            roi.publish(region(self._messages, header, person, joints, size))
        self._tracked.publish(self._messages.IdsList(header=header, ids=ids))
        for identifier in [i for i, last in self._seen.items() if now - last > _LINGER]:
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
    """``hri_msgs/Skeleton2D``; key points that are not shown or outside the image are all 0."""
    message = messages.Skeleton2D(header=header)
    for theirs, ours in _KEY_POINTS.items():
        joint = INDEX[ours]
        x, y = _normalized(person, [joint], size)[0].tolist()
        if joint in joints and 0 <= x <= 1 and 0 <= y <= 1:
            point = message.skeleton[getattr(messages.Skeleton2D, theirs)]
            point.x, point.y, point.c = x, y, float(person.pose.confidence[joint])
    return message


def region(
    messages: Any, header: Header, person: Person, joints: Sequence[int], size: tuple[int, int]
) -> Any:
    """``hri_msgs/NormalizedRegionOfInterest2D`` around the shown joints, within the image."""
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
