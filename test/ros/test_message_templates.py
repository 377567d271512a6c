"""Messages made by stencil are those made in the usual way, field by field."""

import threading

import numpy as np
import pytest

from helpers.poses import standing

pytest.importorskip("visualization_msgs", reason="needs ROS messages: `make setup` installs them")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros import markers, messages
from depth_pose_ros.ros.message_template import MessageTemplate, TemplateCache, TemplateValues
from depth_pose_ros.ros.quick_messages import TemplatedMessages

NOTHING: frozenset = frozenset()


def single(message):
    """With the precision that is left of it on its way."""
    return deserialize_message(serialize_message(message), type(message))


def at_once(work):
    work()


def style(min_confidence=0.0):
    return markers.MarkerStyle(0.05, 0.25, "p", min_confidence)


def frames(rng, count, min_confidence):
    """Frames of people who come, go and hide some of their joints."""
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
def test_bytes_are_those_of_the_usual_way(min_confidence):
    quick, previous = TemplatedMessages(at_once), NOTHING
    look = style(min_confidence)
    for header, people in frames(np.random.default_rng(3), 60, min_confidence):
        for _ in range(5):  # the fourth and fifth time by stencil
            plain = markers.markers(header, people, look, previous)
            made = quick.markers(header, people, look, previous)
            assert deserialize_message(made, MarkerArray) == single(plain)
            assert markers.drawn(people, look) == markers.keys(plain)
            transforms = messages.transforms(header, people, "p", min_confidence)
            made = quick.transforms(header, people, "p", min_confidence)
            assert deserialize_message(made, TFMessage) == TFMessage(transforms=transforms)
            header.stamp.nanosec = (header.stamp.nanosec + 33_000_000) % 10**9
            people = [
                Person(p.number, Pose(p.pose.joints * 1.01, *list(vars(p.pose).values())[1:]))
                for p in people
            ]
            previous = markers.keys(plain)


def test_who_stays_costs_no_new_message(monkeypatch):
    quick, people, made = TemplatedMessages(at_once), [Person(1, standing())], []
    plain = markers.markers
    monkeypatch.setattr(markers, "markers", lambda *a: made.append(1) or plain(*a))
    for nanosec in range(10):
        header = Header(stamp=Time(sec=1, nanosec=nanosec), frame_id="camera")
        quick.markers(header, people, style(), NOTHING)
    assert len(made) == 4  # three to send, one to see where its numbers are


def test_no_message_waits_for_a_stencil():
    waiting: list = []
    quick, people, header = TemplatedMessages(waiting.append), [Person(1, standing())], Header()
    for _ in range(6):
        quick.transforms(header, people, "p", 0.0)
    assert len(waiting) == 1
    waiting.pop()()
    made = quick.transforms(header, people, "p", 0.0)
    expected = messages.transforms(header, people, "p", 0.0)
    assert deserialize_message(made, TFMessage) == TFMessage(transforms=expected)


def test_by_default_a_thread_makes_them():
    quick, people, threads = TemplatedMessages(), [Person(1, standing())], set()
    done = threading.Event()
    real = quick._transforms._checked

    def watched(*arguments):
        threads.add(threading.current_thread())
        done.set()
        return real(*arguments)

    quick._transforms._checked = watched
    for _ in range(6):
        quick.transforms(Header(), people, "p", 0.0)
    assert done.wait(10) and threading.current_thread() not in threads


def test_a_joint_at_no_place_goes_the_usual_way():
    pose = standing()
    pose.joints[4] = np.nan
    quick, header, people = TemplatedMessages(at_once), Header(frame_id="camera"), [Person(0, pose)]
    for _ in range(2):
        made = deserialize_message(quick.markers(header, people, style(), NOTHING), MarkerArray)
        assert len(made.markers) == len(markers.drawn(people, style())) == 20


def ink(*doubles):
    return TemplateValues(np.array(doubles), np.empty(0, np.float32), ())


def test_a_stencil_writes_wherever_its_ink_was_seen():
    first, second = ink(1.25, 3.7), ink(9.1, 8.2)
    a, b = first.items()
    c, d = second.items()
    assert (
        MessageTemplate(b"head" + b + a + b"x" + b, first).fill(second)
        == b"head" + d + c + b"x" + d
    )


def test_a_stencil_that_would_be_wrong_is_never_used():
    here, there, elsewhere = (ink(v).items()[0] for v in (1.5, 2.5, 7.7))

    def made(stencils, shape, data, sample, value):
        return stencils.serialized(shape, ink(value), lambda: data, lambda: (sample, ink(7.7)))

    # The message says more than its ink does, and the first stencil is compared whole.
    stencils = TemplateCache(bytes, at_once)
    for head in (b"A", b"B", b"C", b"D", b"E"):
        assert made(stencils, 0, head + here, b"?" + elsewhere, 1.5) == head + here
    # Once a stencil was right, others are looked at where their ink is.
    stencils = TemplateCache(bytes, at_once)
    for data, value in ((here, 1.5),) * 4 + ((there, 2.5),) * 4:
        assert made(stencils, 0, data, elsewhere, value) == data
    for _ in range(5):
        assert made(stencils, 1, here + b"?", b"?" + elsewhere, 1.5) == here + b"?"


def test_ink_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="ink"):
        MessageTemplate(b"nothing of it", ink(1.5))
