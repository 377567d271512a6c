"""Messages made from templates equal those made without, field by field."""

import threading

import numpy as np
import pytest

from helpers.poses import standing

pytest.importorskip("visualization_msgs", reason="needs ROS messages: `make setup` installs them")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros import markers, messages
from depth_pose_ros.ros.message_templates import (
    MessageTemplate,
    TemplateCache,
    TemplatedMessages,
    TemplateValues,
)

NO_KEYS: frozenset = frozenset()


def round_trip(message):
    """The message with the precision of its fields."""
    return deserialize_message(serialize_message(message), type(message))


def keys_of(message):
    return {(m.ns, m.id) for m in message.markers if m.action == Marker.ADD}


def run_now(work):
    work()


def style(min_confidence=0.0):
    return markers.MarkerStyle(0.05, 0.25, "p", min_confidence)


def frames(rng, count, min_confidence):
    """Frames with a varying number of people and of published joints."""
    for _ in range(count):
        people = []
        for number in rng.permutation(12)[: rng.integers(0, 4)]:
            joints = (standing().joints + rng.normal(0, 0.3, (19, 3))).astype(np.float32)
            confidence = rng.choice([0.0, 0.4, 1.0, rng.random()], 19).astype(np.float32)
            if rng.random() < 0.5:
                confidence = np.full(19, rng.random(), np.float32)
            score = float(rng.choice([0.05, 0.5, 0.99, 1.0]))
            pose = Pose(joints, np.zeros((19, 2), np.float32), confidence, score)
            people.append(Person(int(number), pose))
        stamp = Time(sec=int(rng.integers(0, 2**31)), nanosec=int(rng.integers(0, 10**9)))
        yield Header(stamp=stamp, frame_id=str(rng.choice(["camera", "map"]))), people


@pytest.mark.parametrize("min_confidence", [0.0, 0.5, 1.0])
def test_templated_messages_equal_plain_ones(min_confidence):
    templated, previous = TemplatedMessages(run_now), NO_KEYS
    marker_style = style(min_confidence)
    for header, people in frames(np.random.default_rng(3), 60, min_confidence):
        for _ in range(5):  # the fourth and fifth time from a template
            plain = markers.markers(header, people, marker_style, previous)
            made = templated.markers(header, people, marker_style, previous)
            assert deserialize_message(made, MarkerArray) == round_trip(plain)
            assert markers.keys(people, marker_style) == keys_of(plain)
            transforms = messages.transforms(header, people, "p", min_confidence)
            made = templated.transforms(header, people, "p", min_confidence)
            assert deserialize_message(made, TFMessage) == TFMessage(transforms=transforms)
            header.stamp.nanosec = (header.stamp.nanosec + 33_000_000) % 10**9
            people = [
                Person(p.number, Pose(p.pose.joints * 1.01, *list(vars(p.pose).values())[1:]))
                for p in people
            ]
            previous = keys_of(plain)


def test_template_is_reused_for_the_same_person(monkeypatch):
    templated, people, made = TemplatedMessages(run_now), [Person(1, standing())], []
    plain = markers.markers
    monkeypatch.setattr(markers, "markers", lambda *a: made.append(1) or plain(*a))
    for nanosec in range(10):
        header = Header(stamp=Time(sec=1, nanosec=nanosec), frame_id="camera")
        templated.markers(header, people, style(), NO_KEYS)
    assert len(made) == 4  # three without a template, one to search for the values


def test_messages_do_not_wait_for_a_template():
    waiting: list = []
    templated, people, header = TemplatedMessages(waiting.append), [Person(1, standing())], Header()
    for _ in range(6):
        templated.transforms(header, people, "p", 0.0)
    assert len(waiting) == 1
    waiting.pop()()
    made = templated.transforms(header, people, "p", 0.0)
    expected = messages.transforms(header, people, "p", 0.0)
    assert deserialize_message(made, TFMessage) == TFMessage(transforms=expected)


def test_templates_are_created_on_a_thread_by_default():
    templated, people, threads = TemplatedMessages(), [Person(1, standing())], set()
    done = threading.Event()
    real = templated._transforms._checked

    def watched(*arguments):
        threads.add(threading.current_thread())
        done.set()
        return real(*arguments)

    templated._transforms._checked = watched
    for _ in range(6):
        templated.transforms(Header(), people, "p", 0.0)
    assert done.wait(10) and threading.current_thread() not in threads


def test_person_with_a_nan_joint_is_not_templated():
    pose = standing()
    pose.joints[4] = np.nan
    templated, header, people = (
        TemplatedMessages(run_now),
        Header(frame_id="camera"),
        [Person(0, pose)],
    )
    for _ in range(2):
        made = deserialize_message(templated.markers(header, people, style(), NO_KEYS), MarkerArray)
        assert len(made.markers) == len(markers.keys(people, style())) == 20


def values(*doubles):
    return TemplateValues(np.array(doubles), np.empty(0, np.float32), ())


def test_template_replaces_all_occurrences_of_a_value():
    first, second = values(1.25, 3.7), values(9.1, 8.2)
    a, b = first.items()
    c, d = second.items()
    assert (
        MessageTemplate(b"head" + b + a + b"x" + b, first).fill(second)
        == b"head" + d + c + b"x" + d
    )


def test_template_that_does_not_reproduce_the_message_is_not_used():
    here, there, elsewhere = (values(v).items()[0] for v in (1.5, 2.5, 7.7))

    def made(cache, shape, data, sample, value):
        return cache.serialized(shape, values(value), lambda: data, lambda: (sample, values(7.7)))

    # The messages differ beyond their values; the first template is compared as a whole.
    cache = TemplateCache(bytes, run_now)
    for head in (b"A", b"B", b"C", b"D", b"E"):
        assert made(cache, 0, head + here, b"?" + elsewhere, 1.5) == head + here
    # After one verified template, only the values of others are compared.
    cache = TemplateCache(bytes, run_now)
    for data, value in ((here, 1.5),) * 4 + ((there, 2.5),) * 4:
        assert made(cache, 0, data, elsewhere, value) == data
    for _ in range(5):
        assert made(cache, 1, here + b"?", b"?" + elsewhere, 1.5) == here + b"?"


def test_missing_values_are_an_error():
    with pytest.raises(ValueError, match="values"):
        MessageTemplate(b"nothing of it", values(1.5))
