"""Results of the node in another frame, by TF."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from geometry_msgs.msg import TransformStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from depth_pose_ros.ros.tf import frame_name
from helpers.clouds import positions
from helpers.node_harness import FRAME, NodeHarness, camera_info, depth_image, stamps
from helpers.poses import standing
from helpers.room import POSITION, ROTATION, in_room


def camera_in_room(stamp: int = 0, x: float = POSITION[0]) -> TransformStamped:
    t = TransformStamped(child_frame_id=FRAME)
    t.header.frame_id, t.header.stamp.sec = "map", stamp
    q, v = t.transform.rotation, t.transform.translation
    q.x, q.y, q.z, q.w = ROTATION
    v.x, v.y, v.z = x, *POSITION[1:]
    return t


@pytest.fixture
def harness(ros, capfd):
    return NodeHarness(ros, capfd, target_frame="map")


def available(harness, stamp):
    from rclpy.time import Time

    buffer = harness.node._target._buffer
    return lambda: buffer.can_transform("map", FRAME, Time(seconds=stamp))


def test_results_are_in_the_target_frame_at_the_stamp_of_the_image(harness):
    StaticTransformBroadcaster(harness.peer).sendTransform(camera_in_room())
    harness.ros.spin_until(available(harness, 1), "the transform")
    stamp = harness.process()
    (cloud,), (markers,), (tf,) = harness.clouds, harness.markers, harness.tf
    np.testing.assert_allclose(positions(cloud), in_room(standing().joints), atol=1e-5)
    headers = [cloud.header, tf.transforms[0].header, *(m.header for m in markers.markers)]
    assert {(h.frame_id, h.stamp.sec) for h in headers} == {("map", stamp)}
    assert tf.transforms[0].child_frame_id == "body_p0"
    v = tf.transforms[0].transform.translation
    np.testing.assert_allclose((v.x, v.y, v.z), (5.5, -2.0, 1.0), atol=1e-5)
    head = next(m for m in markers.markers if m.ns == "labels").pose.position
    assert head.z > positions(cloud)[:, 2].max(), "the label is above the person"


def test_moving_camera_is_interpolated_at_the_stamp_of_the_image(harness):
    broadcaster = TransformBroadcaster(harness.peer)
    harness.ros.wait_for_subscribers(broadcaster.pub_tf, 2)  # the node and the harness
    broadcaster.sendTransform([camera_in_room(0, x=0.0), camera_in_room(10, x=10.0)])
    harness.ros.spin_until(available(harness, 4), "the transforms")
    harness._stamp = 3  # the next is 4
    harness.send(depth_image(), camera_info())
    harness.ros.spin_until(lambda: harness.clouds, "the cloud")
    np.testing.assert_allclose(
        positions(harness.clouds[0]), in_room(standing().joints, 4.0), atol=1e-4
    )


def test_missing_transform_is_one_error_and_the_overlay_is_published(harness):
    images: list[Image] = []
    harness.peer.create_subscription(
        Image, "depth_pose_node/overlay", images.append, QoSProfile(depth=10)
    )
    harness.ros.wait_for_publishers(harness.peer, "/depth_pose_node/overlay")
    publisher = next(p for p in harness.node.publishers if p.topic_name.endswith("/overlay"))
    harness.ros.wait_for_subscribers(publisher)
    for _ in range(3):
        harness.send_and_wait(depth_image(), camera_info())
    harness.wait_for_error("Nothing published")
    (error,) = harness.errors()
    assert f"no transform from '{FRAME}' to target_frame 'map'" in error
    assert f"tf2_echo map {FRAME}" in error
    assert harness.clouds == harness.markers == harness.tf == []
    harness.ros.spin_until(lambda: stamps(images) == [1, 2, 3], "the overlays")
    StaticTransformBroadcaster(harness.peer).sendTransform(camera_in_room())
    harness.ros.spin_until(available(harness, 4), "the transform")
    harness.process()


def test_transforms_are_cleared_after_a_jump_back_in_time(harness):
    broadcaster = TransformBroadcaster(harness.peer)
    harness.ros.wait_for_subscribers(broadcaster.pub_tf, 2)
    broadcaster.sendTransform([camera_in_room(100), camera_in_room(110)])
    harness.ros.spin_until(available(harness, 105), "the transforms")
    harness._stamp = 104
    harness.process()
    harness.jump(2)
    broadcaster.sendTransform([camera_in_room(0), camera_in_room(10)])
    harness.ros.spin_until(available(harness, 6), "the transforms after the jump")
    harness.send_and_wait(depth_image(), camera_info())
    harness.ros.spin_until(lambda: stamps(harness.clouds)[-1:] == [6], "the cloud")


def test_results_wait_for_a_late_transform_in_their_order(ros, capfd):
    harness = NodeHarness(ros, capfd, target_frame="map", tf_timeout=10.0, image_timeout=60.0)
    broadcaster = TransformBroadcaster(harness.peer)
    harness.ros.wait_for_subscribers(broadcaster.pub_tf, 2)
    broadcaster.sendTransform(camera_in_room(0))
    for _ in range(3):
        harness.send_and_wait(depth_image(), camera_info())
    assert harness.clouds == [], "no transform yet, and the inference was not held up"
    broadcaster.sendTransform(camera_in_room(2))
    harness.ros.spin_until(lambda: stamps(harness.clouds) == [1, 2], "the first two clouds")
    broadcaster.sendTransform(camera_in_room(9))
    harness.ros.spin_until(lambda: stamps(harness.clouds) == [1, 2, 3], "the third cloud")
    harness.process()
    assert harness.errors() == []


def test_results_that_wait_are_discarded_on_deactivate(ros, capfd):
    harness = NodeHarness(ros, capfd, target_frame="map", tf_timeout=1.0)
    harness.send_and_wait(depth_image(), camera_info())
    harness.node.trigger_deactivate()
    assert harness.clouds == [] and harness.errors() == []


@pytest.mark.parametrize(
    ("given", "published"),
    [("/camera_optical", "camera_optical"), ("//robot//camera/", "robot/camera")],
)
def test_frame_names_of_ros_1_are_corrected_and_said_once(ros, capfd, given, published):
    harness = NodeHarness(ros, capfd)
    for _ in range(2):
        harness.process(depth_image(header=Header(frame_id=given)))
    assert {c.header.frame_id for c in harness.clouds} == {published}
    roots = {t.header.frame_id for m in harness.tf for t in m.transforms}
    assert all(not name.startswith("/") for name in roots)
    (error,) = harness.errors()
    assert f"The frame '{given}' of the depth image is published as '{published}'" in error


@pytest.mark.parametrize(
    ("given", "name"),
    [("map", "map"), ("/map", "map"), ("a/b", "a/b"), ("/", ""), (" /a// /b/ ", "a/ /b"), ("", "")],
)
def test_frame_name(given, name):
    assert frame_name(given) == name


def test_leading_slashes_do_not_prevent_the_transform(ros, capfd):
    harness = NodeHarness(ros, capfd, target_frame="/map")
    StaticTransformBroadcaster(harness.peer).sendTransform(camera_in_room())
    harness.ros.spin_until(available(harness, 1), "the transform")
    harness.process(depth_image(header=Header(frame_id=f"/{FRAME}")))
    assert harness.clouds[-1].header.frame_id == "map"


def test_own_tf_subscription_does_not_count(ros, capfd):
    harness = NodeHarness(ros, capfd, start=False, target_frame="map")
    harness.unsubscribe()
    harness.node.autostart()
    tf = harness.node._outputs._broadcaster.pub_tf
    ros.spin_until(lambda: tf.get_subscription_count() == 1, "its own subscription alone")
    assert not harness.node._outputs.has_subscribers()


def test_cleanup_unsubscribes_from_tf(harness):
    harness.node.trigger_deactivate()
    harness.node.trigger_cleanup()
    assert [s for s in harness.node.subscriptions if s.topic_name.startswith("/tf")] == []
