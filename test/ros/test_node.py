"""The real node over DDS: images in, markers, TF and cloud out; life cycle and parameters."""

from functools import partial
from inspect import signature

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from lifecycle_msgs.msg import State
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle.node import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from visualization_msgs.msg import Marker

from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_ros.ros.parameters import table
from helpers.clouds import unpack
from helpers.node_bench import CAMERA, FRAME, HEIGHT, WIDTH, Bench, camera_info, depth_image, stamps
from helpers.poses import standing


@pytest.fixture
def bench(ros, capfd):
    bench = Bench(ros, capfd)
    yield bench
    bench.estimator.open.set()  # or the node waits for its inference to end


def state(bench):
    return bench.node._state_machine.current_state[0]


@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
def test_a_depth_image_becomes_markers_tf_and_a_cloud(bench, encoding):
    bench.estimator.people = [standing(x=-0.5), standing(x=0.5)]
    stamp = bench.see(depth_image(encoding, metres=2.0))
    depth, camera = bench.estimator.calls[-1]
    assert depth.dtype == np.float32 and depth.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(depth, 2.0)
    assert camera == CAMERA, "of a rectified image P holds, whatever K and D say"

    (cloud,), (markers,), (tf,) = bench.clouds, bench.markers, bench.tf
    assert cloud.width == 2 * NUM_JOINTS
    assert len(markers.markers) == 2 * (NUM_JOINTS + 2)
    assert len(tf.transforms) == 2 * (NUM_JOINTS + 1), "one TF message for the whole frame"
    roots = [t for t in tf.transforms if t.child_frame_id.startswith("body_")]
    assert [t.child_frame_id for t in roots] == ["body_p0", "body_p1"]
    for header in [cloud.header, *(x.header for x in (*markers.markers, *roots))]:
        assert (header.stamp.sec, header.frame_id) == (stamp, FRAME)
    assert {t.header.stamp.sec for t in tf.transforms} == {stamp}
    assert bench.errors() == []


def test_the_work_is_done_off_the_executors_thread(bench):
    bench.see()
    assert bench.estimator.threads == {"inference"}


def test_the_newest_frame_wins(bench):
    first = bench.see()
    bench.estimator.open.clear()
    slow = bench.send(depth_image())
    bench.ros.spin_until(lambda: len(bench.estimator.calls) == 2, "the slow inference")
    arrived, put = [], bench.node._worker.put
    bench.node._worker.put = lambda item: (arrived.append(item[0].header.stamp.sec), put(item))
    last = [bench.send(depth_image()) for _ in range(5)][-1]
    bench.ros.spin_until(lambda: arrived[-1:] == [last], "the newest image")
    bench.estimator.open.set()
    bench.ros.spin_until(lambda: stamps(bench.clouds)[-1] == last, "the newest cloud")
    assert stamps(bench.clouds) == [first, slow, last]
    assert bench.node._worker.dropped == len(arrived) - 1


def test_an_empty_room_takes_back_what_was_drawn(bench):
    bench.estimator.people = [standing(x=-0.5), standing(x=0.5)]
    bench.see()
    bench.estimator.people = []
    bench.see()
    before, after = bench.markers
    assert {(m.ns, m.id) for m in after.markers} == {(m.ns, m.id) for m in before.markers}
    assert {m.action for m in after.markers} == {Marker.DELETE}
    assert bench.clouds[-1].width == 0, "planners learn that the room is empty"
    assert len(bench.tf) == 1
    bench.see()
    assert bench.markers[-1].markers == []


BAD_IMAGES = {
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
BAD_INFOS = {
    "zero K": (partial(camera_info, k=[0.0] * 9, p=[0.0] * 12), "all-zero K"),
    "NaN K": (partial(camera_info, k=[np.nan] * 9, p=[np.nan] * 12), "finite"),
    "another camera's": (partial(camera_info, width=960, height=540), "960 x 540"),
}


@pytest.mark.parametrize("kind", [*BAD_IMAGES, *BAD_INFOS])
def test_a_bad_message_gives_one_error_and_the_next_good_frame_is_seen(bench, kind):
    if kind in BAD_IMAGES:
        (make, complaint), info = BAD_IMAGES[kind], camera_info
    else:
        make = depth_image
        info, complaint = BAD_INFOS[kind]
    for _ in range(3):
        bench.send_and_wait(make(), info())
    good = bench.see()
    assert [complaint in message for message in bench.errors()] == [True], bench.errors()
    assert stamps(bench.clouds) == [good]


def test_all_bad_messages_one_after_another(bench):
    """Each fault is told though another one was told just before."""
    frames = [(make(), camera_info()) for make, _ in BAD_IMAGES.values()]
    frames += [(depth_image(), BAD_INFOS[kind][0]()) for kind in ("zero K", "NaN K")]
    for number, (image, info) in enumerate(frames, start=1):
        bench.send_and_wait(image, info)
        assert len(bench.errors()) == number, bench.errors()
    bench.see()


def test_an_image_without_a_valid_pixel_is_named_and_shows_nobody(bench):
    bench.estimator.people = []
    bench.see(depth_image("32FC1", metres=np.nan))
    bench.wait_for_error("no valid pixel")
    assert not bench.estimator.calls[-1][0].any()


def test_a_failing_inference_loses_one_frame_only(bench):
    bench.estimator.failure = RuntimeError("out of memory")
    bench.send(depth_image(), camera_info())
    bench.wait_for_error("RuntimeError: out of memory")
    bench.estimator.failure = None
    bench.see()


def test_without_a_frame_id_no_tf_is_sent(bench):
    image = depth_image()
    image.header.frame_id = ""
    bench.see(image)
    bench.wait_for_error("no frame_id")
    assert bench.tf == [] and len(bench.markers) == 1


def test_ignoring_the_distortion_of_a_raw_image_is_told_of(ros, capfd):
    bench = Bench(ros, capfd, depth_topic="/camera/depth/image_raw")
    bench.see()
    bench.wait_for_error("/camera/depth/image_raw does not sound rectified")
    assert len(bench.errors()) == 1


def test_a_raw_image_is_rectified_with_k_and_d(ros, capfd):
    bench = Bench(ros, capfd, depth_topic="/camera/depth/image_raw", rectified=False)
    bench.see(info=camera_info(d=[0.3, 0.1, 0.0, 0.0, 0.0]))
    depth, camera = bench.estimator.calls[-1]
    assert camera.fx == CAMERA.fx + 1
    assert depth[0, 0] == 0 and depth[HEIGHT // 2, WIDTH // 2] == 2.0, "the edge has no source"
    assert bench.errors() == []


def test_silence_is_told_of(ros, capfd, monkeypatch):
    monkeypatch.setattr("depth_pose_ros.ros.node.REPEAT_AFTER", 0.1)
    bench = Bench(ros, capfd)
    bench.wait_for_error("No depth image on /depth/image")
    bench.send(depth_image())
    bench.wait_for_error("no camera_info on /depth/camera_info")
    bench.see()


def test_deactivated_it_is_silent_and_takes_back_what_it_drew(bench):
    bench.see()
    assert bench.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    bench.ros.spin_until(lambda: bench.depth.get_subscription_count() == 0, "no subscription")
    bench.ros.spin_until(lambda: len(bench.markers) == 2, "the deletions")
    assert {m.action for m in bench.markers[-1].markers} == {Marker.DELETE}
    bench.depth.publish(depth_image())
    bench.ros.spin_for(0.2)
    assert len(bench.estimator.calls) == 1
    assert bench.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    bench.connect()
    bench.see()


def test_the_whole_life_cycle_twice(bench):
    node = bench.node
    for _ in range(2):
        bench.see()
        for transition in ("deactivate", "cleanup", "configure", "activate"):
            assert getattr(node, f"trigger_{transition}")() == TransitionCallbackReturn.SUCCESS
        bench.connect()
    bench.see()
    assert node.trigger_shutdown() == TransitionCallbackReturn.SUCCESS
    assert state(bench) == State.PRIMARY_STATE_FINALIZED
    bench.ros.spin_until(lambda: bench.depth.get_subscription_count() == 0, "no subscription")


def test_missing_weights_leave_the_node_unconfigured_and_say_what_to_do(ros, capfd):
    bench = Bench(ros, capfd, start=False, model="nowhere.safetensors")

    def no_weights(_):
        raise FileNotFoundError("no weights at nowhere.safetensors: run `make setup`")

    good, bench.make = bench.make, no_weights
    bench.node.autostart()
    assert state(bench) == State.PRIMARY_STATE_UNCONFIGURED
    bench.wait_for_error("Cannot configure: no weights at nowhere.safetensors")
    bench.wait_for_error("ros2 param set /depth_pose_node model")
    # What it says works: set the parameter, configure, activate.
    bench.make = good
    (result,) = bench.node.set_parameters([Parameter("model", value="compact")])
    assert result.successful
    assert bench.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert bench.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert bench.given is not None and bench.given.model == "compact"
    assert bench.given == tuple(map(bench.node._value, bench.given._fields))
    bench.connect()
    bench.see()


def test_an_impossible_quality_of_service_is_told_and_leaves_the_node_inactive(ros, capfd):
    name = "qos_overrides./depth/camera_info.subscription.reliability"
    bench = Bench(ros, capfd, start=False, **{name: "sometimes"})
    bench.node.autostart()
    assert state(bench) == State.PRIMARY_STATE_INACTIVE
    bench.wait_for_error("Cannot activate: Unexpected QoS override")
    assert list(bench.node.subscriptions) == [], "nothing half-open is left"


def test_autostart_can_be_left_to_a_life_cycle_manager(ros, capfd):
    bench = Bench(ros, capfd, start=False, autostart=False)
    bench.node.autostart()
    assert state(bench) == State.PRIMARY_STATE_UNCONFIGURED


def test_structure_cannot_change_under_a_configured_node(bench):
    for name, value in (
        ("model", "x"),
        ("device", "cpu"),
        ("threads", 1),
        ("min_person_score", 0.1),
        ("max_distance", 3.0),
    ):
        (result,) = bench.node.set_parameters([Parameter(name, value=value)])
        assert not result.successful
        assert "only while the node is unconfigured" in result.reason
    for name, value in (("rectified", False), ("id_prefix", "x"), ("autostart", False)):
        (result,) = bench.node.set_parameters([Parameter(name, value=value)])
        assert not result.successful


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_confidence", 1.5),
        ("min_confidence", float("nan")),
        ("min_confidence", "high"),
        ("marker_lifetime", -1.0),
        ("joint_diameter", 0.0),
        ("max_distance", 0.0),
    ],
)
def test_bad_values_are_refused_with_a_reason(bench, name, value):
    before = bench.node.get_parameter(name).value
    (result,) = bench.node.set_parameters([Parameter(name, value=value)])
    assert not result.successful and result.reason
    assert bench.node.get_parameter(name).value == before


def test_tuning_takes_effect_at_once(bench):
    bench.see()
    results = bench.node.set_parameters(
        [
            Parameter("min_confidence", value=0.95),
            Parameter("joint_diameter", value=0.1),
            Parameter("marker_lifetime", value=1.5),
        ]
    )
    assert all(result.successful for result in results)
    bench.see()
    assert [cloud.width for cloud in bench.clouds] == [NUM_JOINTS, 0]
    bench.node.set_parameters([Parameter("min_confidence", value=0.5)])
    bench.see()
    sphere = bench.markers[-1].markers[0]
    assert sphere.scale.x == 0.1 and (sphere.lifetime.sec, sphere.lifetime.nanosec) == (
        1,
        5 * 10**8,
    )


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("threads", 0, InvalidParameterValueException),
        ("device", "gpu", InvalidParameterValueException),
        ("id_prefix", "0", InvalidParameterValueException),
        ("model", 5, InvalidParameterTypeException),
    ],
)
def test_bad_start_up_values_are_refused(ros, capfd, name, value, error):
    with pytest.raises(error, match=name):
        Bench(ros, capfd, start=False, **{name: value})


def test_the_estimators_parameters_have_its_defaults(bench):
    defaults = signature(PoseEstimator.from_pretrained).parameters
    for name in ("device", "backend", "max_people", "min_person_score", "max_distance", "mirror"):
        assert bench.node.get_parameter(name).value == defaults[name].default, name


def test_every_parameter_is_described_and_every_number_bounded(bench):
    rclpys = (
        "use_sim_time",
        "start_type_description_service",
        "qos_overrides.",
        "diagnostic_updater.",
    )
    own = [name for name in bench.node._parameters if not name.startswith(rclpys)]
    assert set(own) == {name for name, _, _ in table()}
    for name in own:
        descriptor = bench.node.describe_parameter(name)
        assert descriptor.description, name
        if isinstance(bench.node.get_parameter(name).value, float):
            assert descriptor.floating_point_range, name
        elif type(bench.node.get_parameter(name).value) is int:
            assert descriptor.integer_range, name


def test_each_output_can_be_switched_off(ros, capfd):
    bench = Bench(ros, capfd, start=False, publish_markers=False, publish_tf=False)
    bench.node.autostart()
    bench.match_camera()
    (cloud,) = (p for p in bench.node.publishers if p.topic_name.endswith("/joints"))
    bench.ros.wait_for_subscribers(cloud)
    bench.send(depth_image(), camera_info())
    bench.ros.spin_until(lambda: bench.clouds, "the cloud")
    assert bench.peer.count_publishers("/depth_pose_node/markers") == 0
    assert bench.peer.count_publishers("/tf") == 0


def test_quality_of_service(bench):
    """Inputs take whatever a driver offers; outputs serve both kinds of subscribers."""
    for topic in ("/depth/image", "/depth/camera_info"):
        (end,) = bench.peer.get_subscriptions_info_by_topic(topic)
        assert end.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        assert end.qos_profile.durability == DurabilityPolicy.VOLATILE
    for topic in ("/depth_pose_node/joints", "/depth_pose_node/markers", "/tf"):
        (end,) = bench.peer.get_publishers_info_by_topic(topic)
        assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert end.qos_profile.durability == DurabilityPolicy.VOLATILE


def test_quality_of_service_can_be_overridden(ros, capfd):
    name = "qos_overrides./depth/image.subscription.reliability"
    bench = Bench(ros, capfd, **{name: "reliable"})
    (end,) = bench.peer.get_subscriptions_info_by_topic("/depth/image")
    assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    bench.see()


def test_ids_last_when_somebody_comes_and_are_counted_when_tracking_is_off(bench):
    def persons():
        bench.see()
        points = unpack(bench.clouds[-1])
        heads = points[points["joint"] == 0]
        return dict(zip(heads["x"].round().tolist(), heads["person"].tolist(), strict=True))

    bench.estimator.people = [standing(x=1.0)]
    assert persons() == {1: 0}
    bench.estimator.people = [standing(x=-1.0), standing(x=1.0)]
    assert persons() == {-1: 1, 1: 0}
    bench.node.set_parameters([Parameter("tracking", value=False)])
    assert persons() == {-1: 0, 1: 1}
