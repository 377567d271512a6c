"""Topics of REP-155: with a stub of hri_msgs, and over DDS if hri_msgs is installed."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from std_msgs.msg import Header

from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros import ros4hri
from helpers import hri_msgs_stub
from helpers.node_harness import FRAME, NodeHarness, camera_info, depth_image, stamps
from helpers.poses import CAMERA, standing

HEADER = Header(frame_id=FRAME)
SIZE = (CAMERA.height, CAMERA.width)
ALL_JOINTS = list(range(NUM_JOINTS))
FACE = ("NOSE", "LEFT_EYE", "RIGHT_EYE", "LEFT_EAR", "RIGHT_EAR")


class Publisher:
    def __init__(self, topic: str) -> None:
        self.topic, self.sent, self.subscribers = topic, [], 1

    def publish(self, message) -> None:
        self.sent.append(message)

    def get_subscription_count(self) -> int:
        return self.subscribers


class Node:
    """The interface of a node that the publishers use."""

    def __init__(self) -> None:
        self.publishers: dict[str, Publisher] = {}

    def create_publisher(self, kind, topic, qos) -> Publisher:
        assert topic not in self.publishers
        self.publishers[topic] = Publisher(topic)
        return self.publishers[topic]

    def destroy_publisher(self, publisher) -> None:
        del self.publishers[publisher.topic]


def test_key_points_are_normalized_joint_pixels():
    person = Person(3, standing(x=0.2))
    message = ros4hri.skeleton2d(hri_msgs_stub, HEADER, person, ALL_JOINTS, SIZE)
    assert message.header == HEADER and len(message.skeleton) == 18
    names = {
        "NECK": "Neck",
        "RIGHT_SHOULDER": "RightShoulder",
        "LEFT_WRIST": "LeftWrist",
        "LEFT_HIP": "LeftHip",
        "RIGHT_KNEE": "RightKnee",
        "LEFT_ANKLE": "LeftFoot",
        "RIGHT_ANKLE": "RightFoot",
    }
    for key_point, joint in names.items():
        point = message.skeleton[getattr(hri_msgs_stub.Skeleton2D, key_point)]
        u, v = person.pose.pixels[INDEX[joint]]
        assert (point.x, point.y) == pytest.approx(((u + 0.5) / 512, (v + 0.5) / 424))
        assert point.c == pytest.approx(0.9)
    known = [i for i, point in enumerate(message.skeleton) if point.c > 0]
    face = {getattr(hri_msgs_stub.Skeleton2D, name) for name in FACE}
    assert set(known) == set(range(18)) - face, "the skeleton has no face"


def test_joints_outside_the_image_or_not_published_are_left_out():
    pose = standing()
    pixels = pose.pixels.copy()
    pixels[INDEX["LeftWrist"]] = (600.0, 100.0)
    pixels[INDEX["RightWrist"]] = (np.nan, 100.0)
    person = Person(0, replace(pose, pixels=pixels))
    joints = [joint for joint in ALL_JOINTS if joint != INDEX["Neck"]]
    message = ros4hri.skeleton2d(hri_msgs_stub, HEADER, person, joints, SIZE)
    for name in ("NECK", "LEFT_WRIST", "RIGHT_WRIST"):
        point = message.skeleton[getattr(hri_msgs_stub.Skeleton2D, name)]
        assert (point.x, point.y, point.c) == (0.0, 0.0, 0.0)
    region = ros4hri.region_of_interest(hri_msgs_stub, HEADER, person, joints, SIZE)
    assert region.xmax == 1.0 and 0 < region.xmin < 0.5 and 0 < region.ymin < region.ymax < 1
    assert region.c == pytest.approx(0.9)
    nothing = ros4hri.region_of_interest(hri_msgs_stub, HEADER, person, [], SIZE)
    assert (nothing.xmin, nothing.ymin, nothing.xmax, nothing.ymax) == (0.0, 0.0, 0.0, 0.0)


def test_topics_of_bodies_are_created_and_destroyed():
    node, now = Node(), [0.0]
    outputs = ros4hri.Ros4HriPublishers(node, hri_msgs_stub, lambda: now[0])

    def publish(*numbers: int) -> None:
        people = [Person(number, standing()) for number in numbers]
        outputs.publish(HEADER, people, SIZE, "p", 0.0)

    publish(0, 7)
    assert set(node.publishers) == {
        "/humans/bodies/tracked",
        *(f"/humans/bodies/{i}/{what}" for i in ("p0", "p7") for what in ("skeleton2d", "roi")),
    }
    tracked = node.publishers["/humans/bodies/tracked"]
    assert tracked.sent[-1].ids == ["p0", "p7"] and tracked.sent[-1].header == HEADER
    now[0] = 2.0
    publish(7)
    assert tracked.sent[-1].ids == ["p7"]
    assert len(node.publishers["/humans/bodies/p0/roi"].sent) == 1
    publish(0, 7)
    assert len(node.publishers["/humans/bodies/p0/roi"].sent) == 2, "the same publisher as before"
    now[0] = 8.0
    publish()
    assert tracked.sent[-1].ids == []
    assert set(node.publishers) == {"/humans/bodies/tracked"}
    outputs.close()
    assert node.publishers == {}


def test_a_subscriber_of_any_topic_counts():
    node = Node()
    outputs = ros4hri.Ros4HriPublishers(node, hri_msgs_stub)
    outputs.publish(HEADER, [Person(0, standing())], SIZE, "p", 0.0)
    for publisher in node.publishers.values():
        publisher.subscribers = 0
    assert not outputs.has_subscribers()
    node.publishers["/humans/bodies/p0/roi"].subscribers = 1
    assert outputs.has_subscribers()


def test_over_dds(ros, capfd):
    hri_msgs = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs (not on PyPI)")
    harness = NodeHarness(ros, capfd)
    tracked, skeletons, regions = [], [], []
    subscribe = harness.peer.create_subscription
    subscribe(hri_msgs.IdsList, "/humans/bodies/tracked", tracked.append, 10)
    subscribe(hri_msgs.Skeleton2D, "/humans/bodies/p0/skeleton2d", skeletons.append, 10)
    subscribe(hri_msgs.NormalizedRegionOfInterest2D, "/humans/bodies/p0/roi", regions.append, 10)
    (ids,) = (p for p in harness.node.publishers if p.topic_name.endswith("/tracked"))
    ros.wait_for_subscribers(ids)
    harness.process()
    pair = [p for p in harness.node.publishers if "/p0/" in p.topic_name]
    for publisher in pair:
        ros.wait_for_subscribers(publisher)
    stamp = harness.send(depth_image(), camera_info())
    ros.spin_until(lambda: tracked and skeletons and regions, "the three messages")
    ros.spin_until(lambda: stamps(tracked)[-1] == stamp, "the list")
    assert tracked[-1].ids == ["p0"] and tracked[-1].header.frame_id == FRAME
    assert len(skeletons[-1].skeleton) == 18
    harness.node.trigger_deactivate()
    ros.spin_until(lambda: tracked[-1].ids == [], "the empty list")
    harness.node.trigger_cleanup()
    assert not [p for p in harness.node.publishers if p.topic_name.startswith("/humans")]


def test_without_hri_msgs_the_topics_do_not_exist(ros, capfd, monkeypatch):
    monkeypatch.setattr(ros4hri, "load_hri_msgs", lambda: None)
    harness = NodeHarness(ros, capfd)
    harness.process()
    assert not [p for p in harness.node.publishers if p.topic_name.startswith("/humans")]
    assert harness.errors() == []
