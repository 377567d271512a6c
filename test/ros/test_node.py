"""The node over DDS: images in; markers, TF and cloud out; lifecycle."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from lifecycle_msgs.msg import State
from rclpy.lifecycle.node import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from visualization_msgs.msg import Marker

from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_ros.ros import parameters
from helpers.clouds import unpack
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


def state(harness):
    return harness.node._state_machine.current_state[0]


@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
def test_depth_image_gives_markers_tf_and_cloud(harness, encoding):
    harness.estimator.people = [standing(x=-0.5), standing(x=0.5)]
    stamp = harness.process(depth_image(encoding, metres=2.0))
    depth, camera = harness.estimator.calls[-1]
    assert depth.dtype == np.float32 and depth.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(depth, 2.0)
    assert camera == CAMERA, "P is used for a rectified image, whatever K and D are"

    (cloud,), (markers,), (tf,) = harness.clouds, harness.markers, harness.tf
    assert cloud.width == 2 * NUM_JOINTS
    assert len(markers.markers) == 2 * (NUM_JOINTS + 2)
    assert len(tf.transforms) == 2 * (NUM_JOINTS + 1), "one TF message for the whole frame"
    roots = [t for t in tf.transforms if t.child_frame_id.startswith("body_")]
    assert [t.child_frame_id for t in roots] == ["body_p0", "body_p1"]
    for header in [cloud.header, *(x.header for x in (*markers.markers, *roots))]:
        assert (header.stamp.sec, header.frame_id) == (stamp, FRAME)
    assert {t.header.stamp.sec for t in tf.transforms} == {stamp}
    assert harness.errors() == []


def test_inference_runs_on_its_own_thread(harness):
    harness.process()
    assert harness.estimator.threads == {"inference"}


def test_only_the_newest_waiting_frame_is_processed(harness):
    first = harness.process()
    harness.estimator.unblocked.clear()
    slow = harness.send(depth_image())
    harness.ros.spin_until(lambda: len(harness.estimator.calls) == 2, "the slow inference")
    received, put = [], harness.node._worker.put
    harness.node._worker.put = lambda item: (received.append(item[0].header.stamp.sec), put(item))
    last = [harness.send(depth_image()) for _ in range(5)][-1]
    harness.ros.spin_until(lambda: received[-1:] == [last], "the newest image")
    harness.estimator.unblocked.set()
    harness.ros.spin_until(lambda: stamps(harness.clouds)[-1] == last, "the newest cloud")
    assert stamps(harness.clouds) == [first, slow, last]
    assert harness.node._worker.dropped == len(received) - 1


def test_empty_frame_deletes_markers_and_clears_the_cloud(harness):
    harness.estimator.people = [standing(x=-0.5), standing(x=0.5)]
    harness.process()
    harness.estimator.people = []
    harness.process()
    before, after = harness.markers
    assert {(m.ns, m.id) for m in after.markers} == {(m.ns, m.id) for m in before.markers}
    assert {m.action for m in after.markers} == {Marker.DELETE}
    assert harness.clouds[-1].width == 0, "subscribers learn that there are no people"
    assert len(harness.tf) == 1
    harness.process()
    assert harness.markers[-1].markers == []


INVALID_IMAGES = {
    "wrong encoding": (partial(depth_image, encoding="rgb8"), "encoding 'rgb8' is not depth"),
    "compressed": (partial(depth_image, encoding="16UC1; png"), "is not depth"),
    "empty": (partial(depth_image, width=0, height=0, step=0, data=[]), "empty"),
    "3 x 3": (partial(depth_image, width=3, height=3, step=6, data=[0] * 18), "too small"),
    "truncated": (partial(depth_image, data=[0] * 1000), "truncated"),
    "short rows": (partial(depth_image, step=WIDTH), f"step is {WIDTH} bytes"),
    "another size": (
        partial(depth_image, height=HEIGHT // 2),
        f"camera_info is for {WIDTH} x {HEIGHT}",
    ),
}
INVALID_INFOS = {
    "zero K": (partial(camera_info, k=[0.0] * 9, p=[0.0] * 12), "all-zero K"),
    "NaN K": (partial(camera_info, k=[np.nan] * 9, p=[np.nan] * 12), "finite"),
    "another camera": (partial(camera_info, width=960, height=540), "960 x 540"),
}


@pytest.mark.parametrize("kind", [*INVALID_IMAGES, *INVALID_INFOS])
def test_invalid_message_gives_one_error_and_the_next_valid_frame_is_processed(harness, kind):
    if kind in INVALID_IMAGES:
        (make, message), info = INVALID_IMAGES[kind], camera_info
    else:
        make = depth_image
        info, message = INVALID_INFOS[kind]
    for _ in range(3):
        harness.send_and_wait(make(), info())
    valid = harness.process()
    assert [message in error for error in harness.errors()] == [True], harness.errors()
    assert stamps(harness.clouds) == [valid]


def test_each_kind_of_invalid_message_is_reported(harness):
    """The throttle does not suppress errors of another kind."""
    frames = [(make(), camera_info()) for make, _ in INVALID_IMAGES.values()]
    frames += [(depth_image(), INVALID_INFOS[kind][0]()) for kind in ("zero K", "NaN K")]
    for number, (image, info) in enumerate(frames, start=1):
        harness.send_and_wait(image, info)
        assert len(harness.errors()) == number, harness.errors()
    harness.process()


def test_image_without_valid_pixels_is_reported(harness):
    harness.estimator.people = []
    harness.process(depth_image("32FC1", metres=np.nan))
    harness.wait_for_error("no valid pixel")
    assert not harness.estimator.calls[-1][0].any()


def test_failing_inference_loses_one_frame_only(harness):
    harness.estimator.failure = RuntimeError("out of memory")
    harness.send(depth_image(), camera_info())
    harness.wait_for_error("RuntimeError: out of memory")
    harness.estimator.failure = None
    harness.process()


def test_no_tf_without_frame_id(harness):
    image = depth_image()
    image.header.frame_id = ""
    harness.process(image)
    harness.wait_for_error("no frame_id")
    assert harness.tf == [] and len(harness.markers) == 1


def test_ignored_distortion_of_a_raw_image_gives_a_warning(ros, capfd):
    harness = NodeHarness(ros, capfd, depth_topic="/camera/depth/image_raw")
    harness.process()
    harness.wait_for_error("/camera/depth/image_raw suggests an image that is not rectified")
    assert len(harness.errors()) == 1


def test_raw_image_is_rectified_with_k_and_d(ros, capfd):
    harness = NodeHarness(ros, capfd, depth_topic="/camera/depth/image_raw", rectified=False)
    harness.process(info=camera_info(d=[0.3, 0.1, 0.0, 0.0, 0.0]))
    depth, camera = harness.estimator.calls[-1]
    assert camera.fx == CAMERA.fx + 1
    assert depth[0, 0] == 0 and depth[HEIGHT // 2, WIDTH // 2] == 2.0, "outside the distorted image"
    assert harness.errors() == []


def test_missing_inputs_are_reported(ros, capfd, monkeypatch):
    monkeypatch.setattr("depth_pose_ros.ros.node.REPEAT_PERIOD", 0.1)
    harness = NodeHarness(ros, capfd)
    harness.wait_for_error("No depth image on /depth/image")
    harness.send(depth_image())
    harness.wait_for_error("no camera_info on /depth/camera_info")
    harness.process()


def test_deactivation_unsubscribes_and_deletes_markers(harness):
    harness.process()
    assert harness.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    harness.ros.spin_until(lambda: harness.depth.get_subscription_count() == 0, "no subscription")
    harness.ros.spin_until(lambda: len(harness.markers) == 2, "the deletions")
    assert {m.action for m in harness.markers[-1].markers} == {Marker.DELETE}
    harness.depth.publish(depth_image())
    harness.ros.spin_for(0.2)
    assert len(harness.estimator.calls) == 1
    assert harness.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    harness.connect()
    harness.process()


def test_lifecycle_twice(harness):
    node = harness.node
    for _ in range(2):
        harness.process()
        for transition in ("deactivate", "cleanup", "configure", "activate"):
            assert getattr(node, f"trigger_{transition}")() == TransitionCallbackReturn.SUCCESS
        harness.connect()
    harness.process()
    assert node.trigger_shutdown() == TransitionCallbackReturn.SUCCESS
    assert state(harness) == State.PRIMARY_STATE_FINALIZED
    harness.ros.spin_until(lambda: harness.depth.get_subscription_count() == 0, "no subscription")


def test_missing_weights_leave_the_node_unconfigured_with_instructions(ros, capfd):
    harness = NodeHarness(ros, capfd, start=False, model="nowhere.safetensors")

    def no_weights(_):
        raise FileNotFoundError("no weights at nowhere.safetensors: run `make setup`")

    make_estimator = harness.make_estimator
    harness.make_estimator = no_weights
    harness.node.autostart()
    assert state(harness) == State.PRIMARY_STATE_UNCONFIGURED
    harness.wait_for_error("Cannot configure: no weights at nowhere.safetensors")
    harness.wait_for_error("ros2 param set /depth_pose_node model")
    # The instructions work: set the parameter, configure, activate.
    harness.make_estimator = make_estimator
    (result,) = harness.node.set_parameters([Parameter("model", value="compact")])
    assert result.successful
    assert harness.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert harness.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert harness.options is not None and harness.options.model == "compact"
    assert harness.options == parameters.estimator_options(harness.node)
    harness.connect()
    harness.process()


def test_invalid_qos_override_is_reported_and_leaves_the_node_inactive(ros, capfd):
    name = "qos_overrides./depth/camera_info.subscription.reliability"
    harness = NodeHarness(ros, capfd, start=False, **{name: "sometimes"})
    harness.node.autostart()
    assert state(harness) == State.PRIMARY_STATE_INACTIVE
    harness.wait_for_error("Cannot activate: Unexpected QoS override")
    assert list(harness.node.subscriptions) == [], "no subscription is left"


def test_autostart_can_be_disabled(ros, capfd):
    harness = NodeHarness(ros, capfd, start=False, autostart=False)
    harness.node.autostart()
    assert state(harness) == State.PRIMARY_STATE_UNCONFIGURED


def test_each_output_can_be_disabled(ros, capfd):
    harness = NodeHarness(ros, capfd, start=False, publish_markers=False, publish_tf=False)
    harness.node.autostart()
    harness.match_camera()
    (cloud,) = (p for p in harness.node.publishers if p.topic_name.endswith("/joints"))
    harness.ros.wait_for_subscribers(cloud)
    harness.send(depth_image(), camera_info())
    harness.ros.spin_until(lambda: harness.clouds, "the cloud")
    assert harness.peer.count_publishers("/depth_pose_node/markers") == 0
    assert harness.peer.count_publishers("/tf") == 0


def test_qos(harness):
    """The inputs match any publisher, the outputs any volatile subscriber."""
    for topic in ("/depth/image", "/depth/camera_info"):
        (end,) = harness.peer.get_subscriptions_info_by_topic(topic)
        assert end.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        assert end.qos_profile.durability == DurabilityPolicy.VOLATILE
    for topic in ("/depth_pose_node/joints", "/depth_pose_node/markers", "/tf"):
        (end,) = harness.peer.get_publishers_info_by_topic(topic)
        assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert end.qos_profile.durability == DurabilityPolicy.VOLATILE


def test_qos_can_be_overridden(ros, capfd):
    name = "qos_overrides./depth/image.subscription.reliability"
    harness = NodeHarness(ros, capfd, **{name: "reliable"})
    (end,) = harness.peer.get_subscriptions_info_by_topic("/depth/image")
    assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    harness.process()


def test_ids_are_persistent_with_tracking_and_ordered_without(harness):
    def ids():
        harness.process()
        points = unpack(harness.clouds[-1])
        heads = points[points["joint"] == 0]
        return dict(zip(heads["x"].round().tolist(), heads["person"].tolist(), strict=True))

    harness.estimator.people = [standing(x=1.0)]
    assert ids() == {1: 0}
    harness.estimator.people = [standing(x=-1.0), standing(x=1.0)]
    assert ids() == {-1: 1, 1: 0}
    harness.node.set_parameters([Parameter("tracking", value=False)])
    assert ids() == {-1: 0, 1: 1}
