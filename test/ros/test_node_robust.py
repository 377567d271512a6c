"""The node without subscribers, with a stopped camera, with time jumps; its diagnostics."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from dataclasses import replace

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import Marker

from helpers.monitor import ERROR, OK, STALE, WARN, Monitor
from helpers.node_harness import (
    CAMERA,
    FRAME,
    HEIGHT,
    WIDTH,
    NodeHarness,
    camera_info,
    depth_image,
    stamps,
)
from helpers.poses import standing


def test_diagnostics_contain_rates_latencies_people_and_model(ros, capfd):
    harness = NodeHarness(ros, capfd, **{"diagnostic_updater.period": 0.1, "model": "compact"})
    monitor = Monitor(harness)
    harness.estimator.people = [standing(x=-0.5), standing(x=0.5)]
    for _ in range(4):
        image = depth_image()
        image.header.stamp = harness.node.get_clock().now().to_msg()
        harness.depth.publish(image)
        harness.info.publish(camera_info())
        harness.ros.spin_for(0.1)
    values = monitor.wait_for(OK, "2 people")
    assert values["People"] == "2" and values["Model"] == "compact"
    assert values["State"] == "active" and values["Last error"] == "none"
    assert float(values["Rate in [Hz]"]) > 0 and float(values["Rate out [Hz]"]) > 0
    assert 0 <= float(values["Latency, acquisition to result [ms]"]) < 60_000
    assert 0 <= float(values["Latency, arrival to result [ms]"]) < 60_000
    assert int(values["Dropped frames"]) >= 0


def test_error_becomes_a_warning_once_results_are_published_again(ros, capfd):
    harness = NodeHarness(ros, capfd, **{"diagnostic_updater.period": 0.1, "image_timeout": 60.0})
    monitor = Monitor(harness)
    harness.process()
    harness.send_and_wait(depth_image("rgb8"), camera_info())
    values = monitor.wait_for(ERROR, "encoding 'rgb8' is not depth")
    assert "rgb8" in values["Last error"]
    assert values["Latency, acquisition to result [ms]"] == "unknown", "stamps of another clock"
    harness.process()
    monitor.wait_for(WARN, "encoding 'rgb8' is not depth")


def test_diagnostics_follow_the_lifecycle(ros, capfd):
    harness = NodeHarness(ros, capfd, start=False, **{"diagnostic_updater.period": 0.1})
    monitor = Monitor(harness)
    monitor.wait_for(WARN, "Not active: unconfigured")
    make_estimator = harness.make_estimator
    harness.make_estimator = lambda _: (_ for _ in ()).throw(RuntimeError("no weights"))
    harness.node.trigger_configure()
    monitor.wait_for(ERROR, "Cannot configure: no weights")
    harness.make_estimator = make_estimator
    harness.node.trigger_configure()
    assert monitor.wait_for(WARN, "Not active: inactive")["State"] == "inactive"
    harness.node.trigger_activate()
    harness.connect()
    harness.process()
    monitor.wait_for(OK)


def test_nodes_of_several_cameras_have_separate_statuses(ros):
    from depth_pose_ros.ros.node import DepthPoseNode

    node = ros.add(DepthPoseNode(lambda _: None, namespace="/front"))
    names: list[str] = []
    peer = ros.node()
    peer.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: names.extend(s.name for s in m.status), 10
    )
    ros.spin_until(lambda: names, "a status")
    assert set(names) == {"depth_pose_node: front skeletons"}
    assert node.get_fully_qualified_name() == "/front/depth_pose_node"


def test_stopped_camera_is_reported_and_outputs_are_cleared(ros, capfd):
    harness = NodeHarness(ros, capfd, image_timeout=0.3, **{"diagnostic_updater.period": 0.1})
    monitor = Monitor(harness)
    harness.process()
    keys = {(m.ns, m.id) for m in harness.markers[0].markers}
    harness.wait_for_error("the camera has stopped")
    harness.ros.spin_until(lambda: len(harness.markers) == 2, "the deletions")
    assert {m.action for m in harness.markers[1].markers} == {Marker.DELETE}
    assert {(m.ns, m.id) for m in harness.markers[1].markers} == keys
    harness.ros.spin_until(lambda: len(harness.clouds) == 2, "the empty cloud")
    assert harness.clouds[1].width == 0, "subscribers learn that there are no people"
    monitor.wait_for(STALE, "No depth image for")
    assert len(harness.errors()) == 1
    harness.node.set_parameters([Parameter("image_timeout", value=60.0)])
    harness.process()  # images again
    assert "Depth images again" in harness.log()
    monitor.wait_for(WARN, "the camera has stopped")  # the error is recent


def test_few_valid_pixels_are_a_warning(ros, capfd):
    harness = NodeHarness(ros, capfd, **{"diagnostic_updater.period": 0.1, "image_timeout": 60.0})
    monitor = Monitor(harness)
    harness.process()
    assert monitor.wait_for(OK)["Valid depth pixels [%]"] == "100"
    image = depth_image()
    pixels = np.full((HEIGHT, WIDTH), 2000, np.uint16)
    pixels[np.arange(HEIGHT) % 10 != 0] = 0
    image.data[:] = type(image.data)("B", pixels.tobytes())
    harness.process(image)
    assert monitor.wait_for(WARN, "Only 10 %")["Valid depth pixels [%]"] == "10"


def test_depth_scale_is_the_unit_of_16_bit_images(ros, capfd):
    harness = NodeHarness(ros, capfd, depth_scale=0.00025)
    harness.process(depth_image("16UC1", metres=8.0))
    np.testing.assert_allclose(harness.estimator.calls[-1][0], 2.0)
    harness.process(depth_image("32FC1", metres=3.0))
    np.testing.assert_allclose(harness.estimator.calls[-1][0], 3.0)


def wait_for_no_subscribers(harness):
    publishers = [
        p
        for p in harness.node.publishers
        if p.topic_name.endswith(("/joints", "/markers", "/poses", "/overlay", "/tf"))
    ]
    harness.ros.spin_until(
        lambda: not any(p.get_subscription_count() for p in publishers), "no subscriber"
    )


def test_lazy_node_is_idle_without_subscribers(ros, capfd):
    harness = NodeHarness(ros, capfd, **{"diagnostic_updater.period": 0.1})
    monitor = Monitor(harness)
    harness.process()
    harness.unsubscribe()
    wait_for_no_subscribers(harness)
    harness.ros.spin_until(
        lambda: not harness.depth.get_subscription_count() + harness.info.get_subscription_count(),
        "the end of the subscriptions",
    )
    monitor.wait_for(OK, "Idle")
    harness.send(depth_image())
    assert len(harness.estimator.calls) == 1
    harness.node.set_parameters([Parameter("lazy", value=False)])
    harness.match_camera()
    harness.send(depth_image())  # the camera_info is still known
    harness.ros.spin_until(lambda: len(harness.estimator.calls) == 2, "an inference")
    assert harness.errors() == []


def test_lazy_node_subscribes_again_for_a_new_subscriber(ros, capfd):
    harness = NodeHarness(ros, capfd)
    harness.unsubscribe()
    harness.ros.spin_until(lambda: not harness.depth.get_subscription_count(), "no subscription")
    clouds: list[PointCloud2] = []
    harness.peer.create_subscription(PointCloud2, "depth_pose_node/joints", clouds.append, 5)
    harness.match_camera()
    harness.send(depth_image(), camera_info())
    harness.ros.spin_until(lambda: stamps(clouds) == [1], "the cloud")


def test_one_subscriber_is_enough(ros, capfd):
    harness = NodeHarness(ros, capfd)
    harness.unsubscribe()
    wait_for_no_subscribers(harness)
    assert not harness.node._outputs.has_subscribers()
    for kind, name in ((PointCloud2, "joints"), (Image, "overlay")):
        subscription = harness.peer.create_subscription(kind, f"depth_pose_node/{name}", print, 1)
        harness.ros.spin_until(harness.node._outputs.has_subscribers, f"the subscriber of {name}")
        harness.peer.destroy_subscription(subscription)
        wait_for_no_subscribers(harness)


def test_tf_subscribers_count_unless_disabled(ros, capfd):
    from tf2_msgs.msg import TFMessage

    harness = NodeHarness(ros, capfd)
    harness.unsubscribe()
    wait_for_no_subscribers(harness)
    harness.peer.create_subscription(TFMessage, "/tf", print, 1)
    harness.ros.spin_until(harness.node._outputs.has_subscribers, "the subscriber of TF")
    harness.node.set_parameters([Parameter("count_tf_subscribers", value=False)])
    assert not harness.node._outputs.has_subscribers()


def test_overlay_shows_the_skeleton_over_the_depth(harness):
    images: list[Image] = []
    harness.peer.create_subscription(
        Image, "depth_pose_node/overlay", images.append, QoSProfile(depth=10)
    )
    publisher = next(p for p in harness.node.publishers if p.topic_name.endswith("/overlay"))
    harness.ros.wait_for_subscribers(publisher)
    harness.estimator.people = []
    harness.process()
    pose = standing()
    pixels = CAMERA.project(pose.joints).astype(np.float32)
    harness.estimator.people = [replace(pose, pixels=pixels)]
    stamp = harness.process()
    harness.ros.spin_until(lambda: len(images) == 2, "the overlays")
    assert (images[1].header.stamp.sec, images[1].header.frame_id) == (stamp, FRAME)
    assert (images[1].encoding, images[1].step) == ("bgr8", WIDTH * 3)
    empty, overlay = (np.frombuffer(p.data, np.uint8).reshape(HEIGHT, WIDTH, 3) for p in images)
    assert (empty == empty[0, 0]).all(), "a wall has one grey value"
    columns, rows = np.rint(pixels).astype(int).T
    assert (overlay[rows, columns] != empty[0, 0]).any(axis=-1).all(), "every joint is drawn"
    assert (overlay[:, :20] == empty[0, 0]).all(), "the background is unchanged"


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_transport", "theora"), ("target_frame", "two words"), ("depth_scale", 0.0)],
)
def test_invalid_start_up_values_are_rejected(ros, capfd, name, value):
    from rclpy.exceptions import InvalidParameterValueException

    with pytest.raises(InvalidParameterValueException, match=name):
        NodeHarness(ros, capfd, start=False, **{name: value})


def test_simulated_time_that_does_not_advance(ros, capfd):
    harness = NodeHarness(ros, capfd, use_sim_time=True)
    harness.process()
