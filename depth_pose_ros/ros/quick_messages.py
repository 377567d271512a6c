"""Markers and TF frames of people as bytes, by :mod:`stencil`; as the plain functions make them."""

from collections.abc import Callable, Hashable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.core.body_frame import body_frame, quaternion
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros import markers, messages
from depth_pose_ros.ros.message_template import TemplateCache, TemplateValues, stamp
from depth_pose_ros.ros.messages import shown

_ELSEWHERE = Time(sec=0x5A3C71E9, nanosec=0x2D96B35C)  # a stamp that occurs nowhere else


class TemplatedMessages:
    """Makes the messages of one node's frames, each by the help of earlier ones.

    Args:
        later: has something done that no message waits for; a thread of its own by default.
    """

    def __init__(self, later: Callable[[Callable[[], None]], object] | None = None) -> None:
        later = later or ThreadPoolExecutor(1, "stencils").submit
        self._markers = TemplateCache(lambda data: deserialize_message(data, MarkerArray), later)
        self._transforms = TemplateCache(lambda data: deserialize_message(data, TFMessage), later)

    def markers(
        self,
        header: Header,
        people: Sequence[Person],
        style: markers.MarkerStyle,
        previous: Set[markers.MarkerKey],
    ) -> bytes:
        """:func:`markers.markers`, serialized."""

        def plain() -> bytes:
            return serialize_message(markers.markers(header, people, style, previous))

        if not _regular(people) or previous - markers.drawn(people, style):
            return plain()
        shape = (
            *(header.frame_id, style, _shape(people, style.min_confidence)),
            tuple(len(markers.label(person, style)) for person in people),
        )

        def probe() -> tuple[bytes, TemplateValues]:
            other, others = _elsewhere(header, people, style.min_confidence)
            message = markers.markers(other, others, style, frozenset())
            return serialize_message(message), _marker_ink(other, others, style)

        return self._markers.serialized(shape, _marker_ink(header, people, style), plain, probe)

    def transforms(
        self, header: Header, people: Sequence[Person], id_prefix: str, min_confidence: float
    ) -> bytes:
        """:func:`messages.transforms` as a ``tf2_msgs/TFMessage``, serialized."""

        def message(header: Header, people: Sequence[Person]) -> bytes:
            frames = messages.transforms(header, people, id_prefix, min_confidence)
            return serialize_message(TFMessage(transforms=frames))

        if not _regular(people):
            return message(header, people)

        def probe() -> tuple[bytes, TemplateValues]:
            other, others = _elsewhere(header, people, min_confidence)
            return message(other, others), _transform_ink(other, others, min_confidence)

        return self._transforms.serialized(
            (header.frame_id, id_prefix, _shape(people, min_confidence)),
            _transform_ink(header, people, min_confidence),
            lambda: message(header, people),
            probe,
        )


def _regular(people: Sequence[Person]) -> bool:
    """Somebody is there, and only confidence decides which joints are shown."""
    return bool(people) and all(np.isfinite(person.pose.joints).all() for person in people)


def _shape(people: Sequence[Person], min_confidence: float) -> Hashable:
    return tuple((person.number, *shown(person, min_confidence)) for person in people)


def _elsewhere(
    header: Header, people: Sequence[Person], min_confidence: float
) -> tuple[Header, list[Person]]:
    """The same people where nobody is, so that no number comes from anything else."""
    rng = np.random.default_rng(len(people))
    others = []
    for person in people:
        pose = person.pose
        sure = rng.uniform(max(min_confidence, 0.0), 1.0, len(pose.confidence))
        # Not below the least in single precision either.
        sure = np.nextafter(sure.astype(np.float32), np.float32(2))
        confidence = np.where(pose.confidence >= min_confidence, sure, np.float32(-1))
        joints = rng.uniform(1.0, 9.0, pose.joints.shape).astype(np.float32)
        moved = Pose(joints, pose.pixels, confidence, pose.score)
        others.append(Person(person.number, moved))
    return Header(stamp=_ELSEWHERE, frame_id=header.frame_id), others


def _marker_ink(
    header: Header, people: Sequence[Person], style: markers.MarkerStyle
) -> TemplateValues:
    doubles: list[NDArray[np.float64]] = []
    singles: list[NDArray[np.float32]] = []
    for person in people:
        joints = shown(person, style.min_confidence)
        doubles.append(person.pose.joints[joints].astype(np.float64).ravel())
        doubles.append(markers.above_head(person.pose.joints))
        singles.append(markers.opacities(person)[joints].astype(np.float32))
    texts = tuple(markers.label(person, style).encode() for person in people)
    return TemplateValues(
        np.concatenate(doubles), np.concatenate(singles), (stamp(header.stamp), *texts)
    )


def _transform_ink(
    header: Header, people: Sequence[Person], min_confidence: float
) -> TemplateValues:
    doubles: list[NDArray[np.float64]] = []
    for person in people:
        origin, axes = body_frame(person.pose.joints)
        offsets = (person.pose.joints - origin) @ axes
        doubles += [origin, np.array(quaternion(axes))]
        doubles.append(offsets[shown(person, min_confidence)].ravel())
    return TemplateValues(np.concatenate(doubles), np.empty(0, np.float32), (stamp(header.stamp),))
