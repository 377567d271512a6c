"""The node with arbitrary messages, poses and parameters: it continues, its results are valid."""

import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from hypothesis import given
from hypothesis import strategies as st
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message

from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_ros.ros.frame_processor import Frame
from depth_pose_ros.ros.node import DepthPoseNode
from depth_pose_ros.ros.outputs import CLOUD_TOPIC, MARKERS_TOPIC
from helpers.clouds import unpack
from helpers.fuzzing import cases
from helpers.message_strategies import camera_infos, compressed_images, images, ros_string
from helpers.node_harness import CAMERA, camera_info, depth_image
from helpers.poses import standing
from helpers.ros_fixtures import Ros

FLOATS = st.floats(width=32)


class Estimator:
    def __init__(self) -> None:
        self.people: list = []

    def estimate(self, depth, camera):
        return self.people


class RecordingPublisher:
    """A publisher that records the last message; rclpy still serializes it."""

    def __init__(self, publisher) -> None:
        self._publisher, self.last = publisher, None

    def publish(self, message) -> None:
        self._publisher.publish(message)
        if isinstance(message, bytes):
            message = deserialize_message(message, self._publisher.msg_type)
        self.last = message

    def get_subscription_count(self) -> int:
        return 1  # so that the message is made without a subscriber


class SynchronousNode:
    """An active node that processes frames one by one, on this thread."""

    def __init__(self, ros: Ros) -> None:
        self.estimator = Estimator()
        self.node = ros.add(DepthPoseNode(lambda _: self.estimator))
        self.node.autostart()
        outputs = self.node._outputs
        self.recorders = {topic: RecordingPublisher(p) for topic, p in outputs._publishers.items()}
        outputs._publishers = dict(self.recorders)
        self.errors: list[str] = []
        self.node._reporter.error = self.errors.append

    def process(self, message, info=None) -> list[str]:
        """Process one frame; returns the errors that the node reports."""
        self.errors.clear()
        self.node._inputs.camera_info = info
        self.node._process(Frame(message, time.monotonic(), 0))
        return self.errors

    def close(self) -> None:
        """Restore the publishers, so that rclpy can destroy them."""
        outputs = self.node._outputs
        outputs._publishers = {
            topic: recorder._publisher for topic, recorder in self.recorders.items()
        }


@pytest.fixture(scope="module")
def fuzzed():
    ros = Ros()
    fuzzed = SynchronousNode(ros)
    try:
        yield fuzzed
    finally:
        fuzzed.close()
        ros.close()


def assert_no_frame_lost(errors: list[str]) -> None:
    """Errors are expected, but not the one for unexpected exceptions."""
    assert not [error for error in errors if error.startswith("Frame lost")], errors
    assert all(len(error) > 20 for error in errors)


def set_header(message, draw):
    message.header.frame_id = ros_string(draw(st.text(max_size=10)))
    message.header.stamp.sec = draw(st.integers(-(2**31), 2**31 - 1))
    message.header.stamp.nanosec = draw(st.integers(0, 2**32 - 1))
    return message


@cases(25)
@given(st.one_of(images(), compressed_images()), st.one_of(st.none(), camera_infos()), st.data())
def test_any_message(fuzzed, message, info, data):
    assert_no_frame_lost(fuzzed.process(set_header(message, data.draw), info))


@st.composite
def people(draw):
    """Poses with arbitrary values."""
    result = []
    for number in range(draw(st.integers(0, 3))):
        pose = standing(x=float(number))
        arrays = {"joints": pose.joints, "pixels": pose.pixels, "confidence": pose.confidence}
        for name in draw(st.sets(st.sampled_from(sorted(arrays)))):
            changed = arrays[name].copy().ravel()
            for _ in range(draw(st.integers(1, 5))):
                changed[draw(st.integers(0, changed.size - 1))] = draw(FLOATS)
            arrays[name] = changed.reshape(arrays[name].shape)
        if draw(st.integers(0, 9)) == 0:
            arrays["joints"] = np.full((NUM_JOINTS, 3), draw(FLOATS), np.float32)
        result.append(replace(pose, **arrays, score=draw(st.floats(0, 1))))
    return result


@cases(15)
@given(people(), st.sampled_from([0.0, 0.5, 1.0]))
def test_any_poses(fuzzed, poses, min_confidence):
    fuzzed.node.set_parameters([Parameter("min_confidence", value=min_confidence)])
    fuzzed.estimator.people = poses
    try:
        with np.errstate(all="ignore"):
            assert_no_frame_lost(fuzzed.process(depth_image(), camera_info()))
    finally:
        fuzzed.estimator.people = []
    points = unpack(fuzzed.recorders[CLOUD_TOPIC].last)
    for axis in "xyz":
        assert np.isfinite(points[axis]).all()
    for marker in fuzzed.recorders[MARKERS_TOPIC].last.markers:
        position = marker.pose.position
        numbers = [position.x, position.y, position.z, marker.color.a]
        numbers += [c for p in marker.points for c in (p.x, p.y, p.z)]
        assert np.isfinite(numbers).all(), marker.ns


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=10).map(ros_string),
    st.sampled_from(["raw", "cpu", "auto", "map", "p"]),
    st.floats(0.1, 1.0),
)


@cases(20)
@given(data=st.data())
def test_any_parameters(fuzzed, data):
    names = [name for name in fuzzed.node._parameters if name != "use_sim_time"]
    name, value = data.draw(st.sampled_from(sorted(names))), data.draw(VALUES)
    before = fuzzed.node.get_parameter(name).value
    (result,) = fuzzed.node.set_parameters([Parameter(name, value=value)])
    after = fuzzed.node.get_parameter(name).value
    if result.successful:
        assert after == value
    else:
        assert result.reason and after == before
    fuzzed.estimator.people = [standing()]
    assert_no_frame_lost(fuzzed.process(depth_image(), camera_info()))
    assert CAMERA.width == depth_image().width


@cases(8)
@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1)), max_size=6))
def test_any_order_of_stamps(fuzzed, stamps):
    fuzzed.estimator.people = [standing()]
    for sec, nanosec in stamps:
        image = depth_image()
        image.header.stamp.sec, image.header.stamp.nanosec = sec, nanosec
        assert_no_frame_lost(fuzzed.process(image, camera_info()))
        header = fuzzed.recorders[CLOUD_TOPIC].last.header
        assert (header.stamp.sec, header.stamp.nanosec) == (sec, nanosec)
