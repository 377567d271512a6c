"""Markers and TF of people as serialized messages, made from templates.

The markers of a person are about 20 messages with 60 more inside them; to make and serialize them
takes Python milliseconds per frame.  From frame to frame only coordinates, opacities, scores and
the stamp change, so these are written into the bytes of an earlier message.  Their positions are
not computed but searched, in a message made and serialized as usual from values that occur only
once.
"""

from collections.abc import Callable, Hashable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

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
from depth_pose_ros.ros.messages import published_joints

#: Number of consecutive messages of one structure before it gets a template, which costs as much as
#: two or three messages: joints that appear and disappear with every frame are not worth it.
_MIN_REPEATS = 3
_MAX_TEMPLATES = 64  # per topic: people and their joints appear and disappear
_PROBE_STAMP = Time(sec=0x5A3C71E9, nanosec=0x2D96B35C)  # bytes that occur nowhere else


class TemplateValues(NamedTuple):
    """The values of a message that change.

    Attributes:
        doubles: (n,) the float64 values.
        singles: (m,) the float32 values.
        raw: stamps and strings, serialized; of constant length.
    """

    doubles: NDArray[np.float64]
    singles: NDArray[np.float32]
    raw: tuple[bytes, ...]

    def items(self) -> list[bytes]:
        """Each value, serialized."""
        return [*(v.tobytes() for v in (*self.doubles, *self.singles)), *self.raw]


def stamp_bytes(time: Time) -> bytes:
    """A stamp, serialized."""
    return np.int32(time.sec).tobytes() + np.uint32(time.nanosec).tobytes()


class MessageTemplate:
    """A serialized message and the positions of its values.

    Args:
        data: the message, serialized.
        values: of this message; all occurrences of each are replaced later.

    Raises:
        ValueError: the message does not contain all values.
    """

    def __init__(self, data: bytes, values: TemplateValues) -> None:
        self._data = np.frombuffer(data, np.uint8)
        source: list[int] = []
        target: list[int] = []
        start = 0
        for item in values.items():
            at = data.find(item)
            if at < 0:
                raise ValueError("the message does not contain all values")
            while at >= 0:
                source += range(start, start + len(item))
                target += range(at, at + len(item))
                at = data.find(item, at + 1)
            start += len(item)
        self._source, self._target = np.array(source, np.intp), np.array(target, np.intp)

    def fill(self, values: TemplateValues) -> bytes:
        """The message with these values, equal in number and length to those of the template."""
        data = self._data.copy()
        flat = values.doubles.tobytes() + values.singles.tobytes() + b"".join(values.raw)
        data[self._target] = np.frombuffer(flat, np.uint8)[self._source]
        return data.tobytes()

    def agrees(self, filled: bytes, other: bytes) -> bool:
        """Whether two messages of this structure have the same length and the same values."""
        a, b = (np.frombuffer(data, np.uint8) for data in (filled, other))
        return len(a) == len(b) and bool((a[self._target] == b[self._target]).all())


class TemplateCache:
    """The templates of one topic, by the structure of the message.

    Args:
        deserialize: used to compare two messages (the padding between their fields differs).
        submit: runs the creation of a template on another thread.
    """

    def __init__(
        self,
        deserialize: Callable[[bytes], object],
        submit: Callable[[Callable[[], None]], object],
    ) -> None:
        self._deserialize, self._submit = deserialize, submit
        self._verified = False
        self._last: Hashable = None
        self._repeats = 0
        self._templates: dict[Hashable, MessageTemplate | None] = {}

    def serialized(
        self,
        structure: Hashable,
        values: TemplateValues,
        make: Callable[[], bytes],
        probe: Callable[[], tuple[bytes, TemplateValues]],
    ) -> bytes:
        """The message, serialized.

        Args:
            structure: two messages of the same structure differ in their values only.
            values: of this message.
            make: makes and serializes it without a template.
            probe: makes and serializes a message of the same structure with values that occur only
                once; called once per structure.
        """
        template = self._templates.get(structure)
        if template is not None:
            return template.fill(values)
        data = make()
        self._repeats = self._repeats + 1 if structure == self._last else 1
        self._last = structure
        if self._repeats >= _MIN_REPEATS and structure not in self._templates:
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            self._templates[structure] = None

            def create() -> None:
                self._templates[structure] = self._checked(*probe(), values, data)

            self._submit(create)
        return data

    def _checked(
        self, probe: bytes, probe_values: TemplateValues, values: TemplateValues, data: bytes
    ) -> MessageTemplate | None:
        """The template, or None if it does not reproduce ``data`` from ``values``.

        With the first template all fields are compared.  That takes longer than to make the
        message, so with later ones only the values are compared.
        """
        try:
            template = MessageTemplate(probe, probe_values)
            filled = template.fill(values)
        except (ValueError, IndexError):
            return None
        if not self._verified:
            self._verified = self._deserialize(filled) == self._deserialize(data)
            return template if self._verified else None
        return template if template.agrees(filled, data) else None


class TemplatedMessages:
    """Makes the markers and TF messages of one node, from templates where possible.

    Args:
        submit: runs the creation of a template; a thread of its own by default.
    """

    def __init__(self, submit: Callable[[Callable[[], None]], object] | None = None) -> None:
        submit = submit or ThreadPoolExecutor(1, "message_templates").submit
        self._markers = TemplateCache(lambda data: deserialize_message(data, MarkerArray), submit)
        self._transforms = TemplateCache(lambda data: deserialize_message(data, TFMessage), submit)

    def markers(
        self,
        header: Header,
        people: Sequence[Person],
        style: markers.MarkerStyle,
        previous: Set[markers.MarkerKey],
    ) -> bytes:
        """:func:`markers.markers`, serialized."""

        def make() -> bytes:
            return serialize_message(markers.markers(header, people, style, previous))

        if not _is_regular(people) or previous - markers.keys(people, style):
            return make()
        structure = (
            *(header.frame_id, style, _structure(people, style.min_confidence)),
            tuple(len(markers.label(person, style)) for person in people),
        )

        def probe() -> tuple[bytes, TemplateValues]:
            probe_header, probes = _probe_people(header, people, style.min_confidence)
            message = markers.markers(probe_header, probes, style, frozenset())
            return serialize_message(message), _marker_values(probe_header, probes, style)

        return self._markers.serialized(
            structure, _marker_values(header, people, style), make, probe
        )

    def transforms(
        self, header: Header, people: Sequence[Person], id_prefix: str, min_confidence: float
    ) -> bytes:
        """:func:`messages.transforms` as a ``tf2_msgs/TFMessage``, serialized."""

        def make(header: Header, people: Sequence[Person]) -> bytes:
            frames = messages.transforms(header, people, id_prefix, min_confidence)
            return serialize_message(TFMessage(transforms=frames))

        if not _is_regular(people):
            return make(header, people)

        def probe() -> tuple[bytes, TemplateValues]:
            probe_header, probes = _probe_people(header, people, min_confidence)
            return make(probe_header, probes), _transform_values(
                probe_header, probes, min_confidence
            )

        return self._transforms.serialized(
            (header.frame_id, id_prefix, _structure(people, min_confidence)),
            _transform_values(header, people, min_confidence),
            lambda: make(header, people),
            probe,
        )


def _is_regular(people: Sequence[Person]) -> bool:
    """Whether there are people and only confidence decides which joints are published."""
    return bool(people) and all(np.isfinite(person.pose.joints).all() for person in people)


def _structure(people: Sequence[Person], min_confidence: float) -> Hashable:
    return tuple((person.number, *published_joints(person, min_confidence)) for person in people)


def _probe_people(
    header: Header, people: Sequence[Person], min_confidence: float
) -> tuple[Header, list[Person]]:
    """The same people with random values, so that each value occurs only once."""
    rng = np.random.default_rng(len(people))
    probes = []
    for person in people:
        pose = person.pose
        published = rng.uniform(max(min_confidence, 0.0), 1.0, len(pose.confidence))
        # Not below the minimum after rounding to single precision either.
        published = np.nextafter(published.astype(np.float32), np.float32(2))
        confidence = np.where(pose.confidence >= min_confidence, published, np.float32(-1))
        joints = rng.uniform(1.0, 9.0, pose.joints.shape).astype(np.float32)
        probes.append(Person(person.number, Pose(joints, pose.pixels, confidence, pose.score)))
    return Header(stamp=_PROBE_STAMP, frame_id=header.frame_id), probes


def _marker_values(
    header: Header, people: Sequence[Person], style: markers.MarkerStyle
) -> TemplateValues:
    doubles: list[NDArray[np.float64]] = []
    singles: list[NDArray[np.float32]] = []
    for person in people:
        joints = published_joints(person, style.min_confidence)
        doubles.append(person.pose.joints[joints].astype(np.float64).ravel())
        doubles.append(markers.label_position(person.pose.joints))
        singles.append(markers.opacities(person)[joints].astype(np.float32))
    labels = tuple(markers.label(person, style).encode() for person in people)
    return TemplateValues(
        np.concatenate(doubles), np.concatenate(singles), (stamp_bytes(header.stamp), *labels)
    )


def _transform_values(
    header: Header, people: Sequence[Person], min_confidence: float
) -> TemplateValues:
    doubles: list[NDArray[np.float64]] = []
    for person in people:
        origin, axes = body_frame(person.pose.joints)
        offsets = (person.pose.joints - origin) @ axes
        doubles += [origin, np.array(quaternion(axes))]
        doubles.append(offsets[published_joints(person, min_confidence)].ravel())
    return TemplateValues(
        np.concatenate(doubles), np.empty(0, np.float32), (stamp_bytes(header.stamp),)
    )
