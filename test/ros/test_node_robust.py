"""The node without subscribers, with a stopped camera, with time jumps; its diagnostics."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from dataclasses import replace

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from helpers.depth_encoding import compressed_depth
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

OK, WARN, ERROR, STALE = (
    getattr(DiagnosticStatus, name) for name in ("OK", "WARN", "ERROR", "STALE")
)


class Monitor:
    """Subscribes to /diagnostics."""

    def __init__(self, harness: NodeHarness) -> None:
        self._harness = harness
        self._statuses: list[DiagnosticStatus] = []
        harness.peer.create_subscription(
            DiagnosticArray,
            "/diagnostics",
            lambda message: self._statuses.extend(message.status),
            QoSProfile(depth=10),
        )
        harness.ros.wait_for_publishers(harness.peer, "/diagnostics")

    def wait_for(self, level: bytes, text: str = "") -> dict[str, str]:
        """Wait for a new status with this level and text; returns its values."""
        self._statuses.clear()

        def matching():
            return [s for s in self._statuses if s.level == level and text in s.message]

        self._harness.ros.spin_until(matching, f"a status of level {level!r} with '{text}'")
        return {item.key: item.value for item in matching()[0].values}


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


def test_jump_back_in_time_clears_the_outputs(harness):
    harness._stamp = 1000
    harness.process()
    harness._stamp = 10
    harness.send_and_wait(depth_image(), camera_info())
    harness.ros.spin_until(lambda: stamps(harness.clouds)[-1:] == [11], "the cloud")
    harness.ros.spin_until(lambda: len(harness.markers) == 3, "the markers")
    assert [len(c.data) > 0 for c in harness.clouds] == [True, False, True]
    assert {m.action for m in harness.markers[1].markers} == {Marker.DELETE}
    assert "Time has jumped back by 990.0 s" in harness.log()
    assert harness.errors() == []


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
    before = harness.node._statistics.snapshot().num_images
    for _ in range(3):
        harness.send(depth_image(), camera_info())
    harness.ros.spin_until(
        lambda: harness.node._statistics.snapshot().num_images > before, "the images"
    )
    monitor.wait_for(OK, "Idle")
    assert len(harness.estimator.calls) == 1
    harness.node.set_parameters([Parameter("lazy", value=False)])
    harness.send_and_wait(depth_image(), camera_info())
    assert len(harness.estimator.calls) == 2


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


def test_compressed_depth_topic_is_below_that_of_the_image(ros, capfd):
    harness = NodeHarness(
        ros, capfd, start=False, depth_topic="/cam/depth/image", image_transport="compressedDepth"
    )
    harness.node.autostart()
    camera = harness.peer.create_publisher(CompressedImage, "/cam/depth/image/compressedDepth", 2)
    harness.match_camera(camera)
    cloud = next(p for p in harness.node.publishers if p.topic_name.endswith("/joints"))
    harness.ros.wait_for_subscribers(cloud)
    assert harness.depth.get_subscription_count() == 0
    harness.send_camera_info(camera_info())

    def publish(stamp: int, format_: str, data: bytes) -> None:
        header = Header(frame_id=FRAME)
        header.stamp.sec = stamp
        image = CompressedImage(header=header, format=format_)
        image.data.frombytes(data)
        camera.publish(image)
        harness.ros.spin_until(
            lambda: harness.node.handled[-1:] == [stamp], "the end of processing"
        )

    pixels = np.full((HEIGHT, WIDTH), 2000, np.uint16)
    for stamp in (1, 2):
        publish(stamp, "16UC1; compressedDepth png", b"invalid data that is not a PNG")
    publish(3, "16UC1; compressedDepth png", compressed_depth(pixels))
    np.testing.assert_allclose(harness.estimator.calls[-1][0], 2.0)
    harness.ros.spin_until(lambda: stamps(harness.clouds) == [3], "the cloud")
    (error,) = harness.errors()
    assert "not a PNG" in error


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_transport", "theora"), ("target_frame", "/map"), ("target_frame", "two words")],
)
def test_invalid_start_up_strings_are_rejected(ros, capfd, name, value):
    from rclpy.exceptions import InvalidParameterValueException

    with pytest.raises(InvalidParameterValueException, match=name):
        NodeHarness(ros, capfd, start=False, **{name: value})


def test_simulated_time_that_does_not_advance(ros, capfd):
    harness = NodeHarness(ros, capfd, use_sim_time=True)
    harness.process()
