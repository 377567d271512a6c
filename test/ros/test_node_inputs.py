"""How the node subscribes: latched camera_info and QoS overrides."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from helpers.node_harness import NodeHarness, camera_info, depth_image

INFO = "qos_overrides./depth/camera_info.subscription."
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def latched_camera(harness, before: bool):
    """Replaces the camera's publisher of camera_info by one that publishes once."""
    harness.peer.destroy_publisher(harness.info)
    if not before:
        harness.node.autostart()
    harness.info = harness.peer.create_publisher(CameraInfo, "depth/camera_info", LATCHED)
    harness.info.publish(camera_info())
    if before:
        harness.node.autostart()


def wait_for_camera_info(harness):
    harness.ros.spin_until(lambda: harness.node._inputs.camera_info, "the camera_info")
    harness.connect()
    harness.send(depth_image())
    count = len(harness.clouds)
    harness.ros.spin_until(lambda: len(harness.clouds) > count, "the cloud")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    "overrides", [{}, {"durability": "transient_local", "reliability": "reliable"}]
)
def test_camera_info_that_is_published_once_is_received(ros, capfd, before, overrides):
    parameters = {INFO + name: value for name, value in overrides.items()}
    harness = NodeHarness(ros, capfd, start=False, image_timeout=60.0, **parameters)
    latched_camera(harness, before)
    wait_for_camera_info(harness)
    harness.node.trigger_deactivate()
    harness.node.trigger_activate()
    assert harness.node._inputs.camera_info is None
    wait_for_camera_info(harness)
    assert harness.errors() == []


def test_no_transient_local_subscription_for_ordinary_cameras(harness):
    """It would make the driver log a warning about incompatible QoS."""
    harness.process()
    ends = harness.peer.get_subscriptions_info_by_topic("/depth/camera_info")
    assert [end.qos_profile.durability for end in ends] == [DurabilityPolicy.VOLATILE]


def test_each_override_is_taken(ros, capfd):
    name = "qos_overrides./depth_pose_node/joints.publisher.durability"
    overrides = {INFO + "durability": "transient_local", INFO + "reliability": "reliable"}
    harness = NodeHarness(ros, capfd, start=False, **overrides, **{name: "transient_local"})
    harness.node.autostart()
    ros.spin_until(
        lambda: harness.peer.get_subscriptions_info_by_topic("/depth/camera_info"), "its end"
    )
    (end,) = harness.peer.get_subscriptions_info_by_topic("/depth/camera_info")
    assert end.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    ros.wait_for_publishers(harness.peer, "/depth_pose_node/joints")
    (end,) = harness.peer.get_publishers_info_by_topic("/depth_pose_node/joints")
    assert end.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert harness.errors() == []


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        (INFO + "durabilty", INFO + "durability"),
        (INFO + "deadline", INFO + "depth"),
        (INFO.replace("/depth/", "/cam/") + "reliability", INFO + "reliability"),
    ],
)
def test_an_override_without_effect_is_reported_with_the_nearest_valid_name(
    ros, capfd, given, nearest
):
    harness = NodeHarness(ros, capfd, start=False, **{given: "reliable"})
    harness.node.autostart()
    (error,) = harness.errors()
    assert f"Parameter {given} has no effect" in error
    assert error.endswith(f"is {nearest}")
