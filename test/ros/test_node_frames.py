"""The node's results in another frame, by TF."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from geometry_msgs.msg import TransformStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from helpers.clouds import positions
from helpers.node_bench import FRAME, Bench, camera_info, depth_image, stamps
from helpers.poses import standing

#: Of an optical frame whose camera looks along x of the room, 1 m up: x, y, z, w; and where it is.
ROTATION, PLACE = (-0.5, 0.5, -0.5, 0.5), (3.0, -2.0, 1.0)


def camera_in_room(stamp: int = 0, x: float = PLACE[0]) -> TransformStamped:
    t = TransformStamped(child_frame_id=FRAME)
    t.header.frame_id, t.header.stamp.sec = "map", stamp
    q, v = t.transform.rotation, t.transform.translation
    q.x, q.y, q.z, q.w = ROTATION
    v.x, v.y, v.z = x, *PLACE[1:]
    return t


def in_room(joints: np.ndarray, x: float = PLACE[0]) -> np.ndarray:
    """By hand: z is ahead, x to the right, y down."""
    return np.stack((x + joints[:, 2], PLACE[1] - joints[:, 0], PLACE[2] - joints[:, 1]), axis=-1)


@pytest.fixture
def bench(ros, capfd):
    return Bench(ros, capfd, target_frame="map")


def known(bench, stamp):
    from rclpy.time import Time

    buffer = bench.node._target._buffer
    return lambda: buffer.can_transform("map", FRAME, Time(seconds=stamp))


def test_results_are_in_the_target_frame_at_the_images_time(bench):
    StaticTransformBroadcaster(bench.peer).sendTransform(camera_in_room())
    bench.ros.spin_until(known(bench, 1), "the transform")
    stamp = bench.see()
    (cloud,), (markers,), (tf,) = bench.clouds, bench.markers, bench.tf
    np.testing.assert_allclose(positions(cloud), in_room(standing().joints), atol=1e-5)
    headers = [cloud.header, tf.transforms[0].header, *(m.header for m in markers.markers)]
    assert {(h.frame_id, h.stamp.sec) for h in headers} == {("map", stamp)}
    assert tf.transforms[0].child_frame_id == "body_p0"
    v = tf.transforms[0].transform.translation
    np.testing.assert_allclose((v.x, v.y, v.z), (5.5, -2.0, 1.0), atol=1e-5)
    head = next(m for m in markers.markers if m.ns == "labels").pose.position
    assert head.z > positions(cloud)[:, 2].max(), "up is up"


def test_a_moving_camera_is_taken_where_it_was(bench):
    broadcaster = TransformBroadcaster(bench.peer)
    bench.ros.wait_for_subscribers(broadcaster.pub_tf, 2)  # the node, and the bench itself
    broadcaster.sendTransform([camera_in_room(0, x=0.0), camera_in_room(10, x=10.0)])
    bench.ros.spin_until(known(bench, 4), "the transforms")
    bench._stamp = 3  # the next is 4
    bench.send(depth_image(), camera_info())
    bench.ros.spin_until(lambda: bench.clouds, "the cloud")
    np.testing.assert_allclose(
        positions(bench.clouds[0]), in_room(standing().joints, 4.0), atol=1e-4
    )


def test_a_missing_transform_is_one_error_and_the_picture_still_comes(bench):
    pictures: list[Image] = []
    bench.peer.create_subscription(
        Image, "depth_pose_node/overlay", pictures.append, QoSProfile(depth=10)
    )
    bench.ros.wait_for_publishers(bench.peer, "/depth_pose_node/overlay")
    overlay = next(p for p in bench.node.publishers if p.topic_name.endswith("/overlay"))
    bench.ros.wait_for_subscribers(overlay)
    for _ in range(3):
        bench.send_and_wait(depth_image(), camera_info())
    (complaint,) = bench.errors()
    assert f"no transform from '{FRAME}' to target_frame 'map'" in complaint
    assert f"tf2_echo map {FRAME}" in complaint
    assert bench.clouds == bench.markers == bench.tf == []
    bench.ros.spin_until(lambda: stamps(pictures) == [1, 2, 3], "the pictures")
    StaticTransformBroadcaster(bench.peer).sendTransform(camera_in_room())
    bench.ros.spin_until(known(bench, 4), "the transform")
    bench.see()


def test_after_a_jump_back_old_transforms_do_not_hide_new_ones(bench):
    broadcaster = TransformBroadcaster(bench.peer)
    bench.ros.wait_for_subscribers(broadcaster.pub_tf, 2)
    broadcaster.sendTransform([camera_in_room(100), camera_in_room(110)])
    bench.ros.spin_until(known(bench, 105), "the transforms")
    bench._stamp = 104
    bench.send_and_wait(depth_image(), camera_info())
    assert stamps(bench.clouds) or not bench.errors()
    bench._stamp = 4
    bench.send_and_wait(depth_image(), camera_info())  # the jump
    broadcaster.sendTransform([camera_in_room(0), camera_in_room(10)])
    bench.ros.spin_until(known(bench, 6), "the transforms after the jump")
    bench.send_and_wait(depth_image(), camera_info())
    bench.ros.spin_until(lambda: stamps(bench.clouds)[-1:] == [6], "the cloud")


def test_its_own_listening_to_tf_does_not_keep_the_node_awake(ros, capfd):
    bench = Bench(ros, capfd, start=False, target_frame="map")
    bench.stop_listening()
    bench.node.autostart()
    tf = bench.node._outputs._broadcaster.pub_tf
    ros.spin_until(lambda: tf.get_subscription_count() == 1, "its own subscription alone")
    assert not bench.node._outputs.wanted()


def test_cleaned_up_it_no_longer_listens(bench):
    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    assert [s for s in bench.node.subscriptions if s.topic_name.startswith("/tf")] == []
