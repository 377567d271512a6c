"""The recorder: statistics, frames and bag of messages received over DDS."""

import array

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.demo.playback import CAMERA_INFO_TOPIC, DEPTH_TOPIC, camera_info
from depth_pose_ros.demo.recorder import (
    JOINTS_TOPIC,
    MARKERS_TOPIC,
    TF_TOPIC,
    TOPICS,
    BagWriter,
    Recorder,
    skeletons_from_cloud,
)
from depth_pose_ros.demo.recording import Latency
from depth_pose_ros.demo.sources import open_source
from depth_pose_ros.ros.messages import cloud
from helpers.demo_scene import CAMERA, scene
from helpers.poses import standing

FRAMES = 4


def header(index: int) -> Header:
    made = Header(frame_id="camera")
    made.stamp.sec, made.stamp.nanosec = 1000, index * 100_000_000
    return made


def messages(index: int) -> dict:
    depth = scene(index)
    height, width = depth.shape
    image = Image(
        header=header(index), height=height, width=width, encoding="16UC1", step=2 * width
    )
    image.data = array.array("B", depth.tobytes())
    info = camera_info(CAMERA)
    info.header = header(index)
    people = [Person(i, standing(x=0.2 * i)) for i in range(index % 3)]
    return {
        DEPTH_TOPIC: image,
        CAMERA_INFO_TOPIC: info,
        JOINTS_TOPIC: cloud(header(index), people, 0.0),
        MARKERS_TOPIC: MarkerArray(markers=[Marker(header=header(index), text="a person")]),
        TF_TOPIC: TFMessage(transforms=[TransformStamped(header=header(index))]),
    }


@pytest.fixture
def recorded(ros, tmp_path):
    """A recorder that has received FRAMES of everything, 30 ms after the images' stamps."""
    now = [0.0]
    names = {topic: name for topic, (_, name) in TOPICS.items()}
    with BagWriter(tmp_path / "outputs", names) as bag:
        recorder = ros.add(Recorder(bag, depth_stride=2, clock=lambda: now[0]))
        peer = ros.node()
        publishers = {
            topic: peer.create_publisher(kind, topic, 10) for topic, (kind, _) in TOPICS.items()
        }
        ros.spin_until(recorder.sees_all_publishers, "the publishers")
        assert not publishers[DEPTH_TOPIC].get_subscription_count()
        assert not recorder.caught_up
        recorder.subscribe_to_camera()
        for publisher in publishers.values():
            ros.wait_for_subscribers(publisher)
        for index in range(FRAMES):
            now[0] = 1000.0 + index * 0.1 + 0.03
            for topic, message in messages(index).items():
                publishers[topic].publish(message)
            ros.spin_until(
                lambda n=index + 1: all(
                    recorder.statistics.traffic(topic).messages == n for topic in TOPICS
                ),
                f"frame {index} on all topics",
            )
        assert recorder.caught_up
    return recorder, tmp_path / "outputs"


def test_statistics_frames_and_bag_match_the_messages(recorded):
    recorder, path = recorded
    for topic in TOPICS:
        count, rate = recorder.statistics.traffic(topic)
        assert (count, rate) == (FRAMES, pytest.approx(10.0))
    assert recorder.statistics.latency() == Latency(pytest.approx(0.03), pytest.approx(0.03))
    assert recorder.statistics.people_counts() == {0: 2, 1: 1, 2: 1}

    frames = recorder.sampler.frames
    assert [frame.stamp for frame in frames] == [1000 * 10**9 + i * 10**8 for i in range(FRAMES)]
    assert [len(frame.people) for frame in frames] == [0, 1, 2, 0]
    np.testing.assert_array_equal(frames[1].depth, scene(1))
    np.testing.assert_allclose(frames[1].people[0].joints, standing().joints)

    with AnyReader([path]) as reader:  # without default types: the definitions are embedded
        names = {topic: name for topic, (_, name) in TOPICS.items()}
        assert {c.topic: c.msgtype for c in reader.connections} == names
        read = list(reader.messages())
        by_topic = {topic: [r for r in read if r[0].topic == topic] for topic in TOPICS}
        markers = reader.deserialize(by_topic[MARKERS_TOPIC][0][2], names[MARKERS_TOPIC])
        assert markers.markers[0].text == "a person"
    assert {topic: len(rows) for topic, rows in by_topic.items()} == {
        topic: FRAMES // 2 if topic == DEPTH_TOPIC else FRAMES for topic in TOPICS
    }
    joints = deserialize_message(by_topic[JOINTS_TOPIC][2][2], PointCloud2)
    assert joints == messages(2)[JOINTS_TOPIC]
    assert by_topic[TF_TOPIC][3][1] == 1000_330_000_000
    # The written bag is a valid source.
    assert len(list(open_source(str(path)))) == FRAMES // 2


def test_cleared_output_is_not_counted_as_a_frame(ros, tmp_path):
    names = {topic: name for topic, (_, name) in TOPICS.items()}
    with BagWriter(tmp_path / "outputs", names) as bag:
        recorder = ros.add(Recorder(bag, clock=lambda: 1000.2))
        publisher = ros.node().create_publisher(PointCloud2, JOINTS_TOPIC, 10)
        ros.wait_for_subscribers(publisher)
        publisher.publish(messages(1)[JOINTS_TOPIC])
        publisher.publish(cloud(header(1), [], 0.0))  # cleared after a camera timeout
        ros.spin_until(
            lambda: recorder.statistics.traffic(JOINTS_TOPIC).messages == 2, "both messages"
        )
    assert recorder.statistics.people_counts() == {1: 1}
    assert recorder.statistics.latency() == Latency(pytest.approx(0.1), pytest.approx(0.1))


def test_missing_joints_are_nan():
    pose = standing()
    pose.confidence[:5] = 0.1
    made = cloud(header(0), [Person(7, pose)], min_confidence=0.5)
    (found,) = skeletons_from_cloud(made)
    assert found.id == 7
    assert np.isnan(found.joints[:5]).all() and not found.confidence[:5].any()
    np.testing.assert_allclose(found.joints[5:], pose.joints[5:])
    np.testing.assert_allclose(found.confidence[5:], pose.confidence[5:])


def test_write_error_is_raised_by_close(tmp_path):
    bag = BagWriter(tmp_path / "outputs", {"/tf": "tf2_msgs/msg/TFMessage"})
    bag.write("/unknown", 0, b"")
    with pytest.raises(KeyError, match="unknown"):
        bag.close()
