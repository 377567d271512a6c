"""The node under made-up messages, poses and parameters: it lives, and what it sends holds."""

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
from test_fuzz_inputs import camera_infos, compressed_images, images, text

from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_ros.ros.node import DepthPoseNode
from depth_pose_ros.ros.outputs import CLOUD_TOPIC, MARKERS_TOPIC
from helpers.clouds import unpack
from helpers.fuzzing import cases
from helpers.node_bench import CAMERA, camera_info, depth_image
from helpers.poses import standing
from helpers.ros_fixtures import Ros

FLOATS = st.floats(width=32)


class Estimator:
    def __init__(self) -> None:
        self.people: list = []

    def estimate(self, depth, camera):
        return self.people


class Tap:
    """A publisher that keeps what it sends; rclpy still takes the message apart."""

    def __init__(self, publisher) -> None:
        self._publisher, self.last = publisher, None

    def publish(self, message) -> None:
        self._publisher.publish(message)
        if isinstance(message, bytes):
            message = deserialize_message(message, self._publisher.msg_type)
        self.last = message

    def get_subscription_count(self) -> int:
        return 1  # so that it is made though nobody listens


class Rig:
    """An active node whose frames are handed to it one by one, on this thread."""

    def __init__(self, ros: Ros) -> None:
        self.estimator = Estimator()
        self.node = ros.add(DepthPoseNode(lambda _: self.estimator))
        self.node.autostart()
        outputs = self.node._outputs
        self.taps = {topic: Tap(p) for topic, p in outputs._publishers.items()}
        outputs._publishers = dict(self.taps)
        self.reports: list[str] = []
        self.node._report = self.reports.append

    def process(self, message, info=None) -> list[str]:
        """What the node complains of, of one frame."""
        self.reports.clear()
        self.node._inputs.camera_info = info
        self.node._process((message, time.monotonic()))
        return self.reports

    def close(self) -> None:
        """Put back what rclpy made, so that it can destroy it."""
        outputs = self.node._outputs
        outputs._publishers = {topic: tap._publisher for topic, tap in self.taps.items()}


@pytest.fixture(scope="module")
def rig():
    ros = Ros()
    rig = Rig(ros)
    try:
        yield rig
    finally:
        rig.close()
        ros.close()


def no_accident(reports: list[str]) -> None:
    """Refusals are expected; "Frame lost" is the node's last net."""
    assert not [report for report in reports if report.startswith("Frame lost")], reports
    assert all(len(report) > 20 for report in reports)


def put_header(message, draw):
    message.header.frame_id = text(draw(st.text(max_size=10)))
    message.header.stamp.sec = draw(st.integers(-(2**31), 2**31 - 1))
    message.header.stamp.nanosec = draw(st.integers(0, 2**32 - 1))
    return message


@cases(25)
@given(st.one_of(images(), compressed_images()), st.one_of(st.none(), camera_infos()), st.data())
def test_any_message(rig, message, info, data):
    no_accident(rig.process(put_header(message, data.draw), info))


@st.composite
def people(draw):
    """Poses as no estimator should make them."""
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
def test_any_poses(rig, poses, min_confidence):
    rig.node.set_parameters([Parameter("min_confidence", value=min_confidence)])
    rig.estimator.people = poses
    try:
        with np.errstate(all="ignore"):
            no_accident(rig.process(depth_image(), camera_info()))
    finally:
        rig.estimator.people = []
    points = unpack(rig.taps[CLOUD_TOPIC].last)
    for axis in "xyz":
        assert np.isfinite(points[axis]).all()
    for marker in rig.taps[MARKERS_TOPIC].last.markers:
        position = marker.pose.position
        numbers = [position.x, position.y, position.z, marker.color.a]
        numbers += [c for p in marker.points for c in (p.x, p.y, p.z)]
        assert np.isfinite(numbers).all(), marker.ns


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=10).map(text),
    st.sampled_from(["raw", "cpu", "auto", "map", "p"]),
    st.floats(0.1, 1.0),
)


@cases(20)
@given(data=st.data())
def test_any_parameters(rig, data):
    names = [name for name in rig.node._parameters if name != "use_sim_time"]
    name, value = data.draw(st.sampled_from(sorted(names))), data.draw(VALUES)
    before = rig.node.get_parameter(name).value
    (result,) = rig.node.set_parameters([Parameter(name, value=value)])
    after = rig.node.get_parameter(name).value
    if result.successful:
        assert after == value
    else:
        assert result.reason and after == before
    rig.estimator.people = [standing()]
    no_accident(rig.process(depth_image(), camera_info()))
    assert CAMERA.width == depth_image().width


@cases(8)
@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 10**9 - 1)), max_size=6))
def test_any_order_of_stamps(rig, stamps):
    rig.estimator.people = [standing()]
    for sec, nanosec in stamps:
        image = depth_image()
        image.header.stamp.sec, image.header.stamp.nanosec = sec, nanosec
        reports = rig.process(image, camera_info())
        no_accident(reports)
        header = rig.taps[CLOUD_TOPIC].last.header
        if sec < 0:
            assert "before 1970" in reports[0]
        else:
            assert (header.stamp.sec, header.stamp.nanosec) == (sec, nanosec)
