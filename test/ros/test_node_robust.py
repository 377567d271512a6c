"""The node over time: nobody listens, the camera goes, time jumps back; and its diagnostics."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from dataclasses import replace

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from test_compressed_depth import message as compressed_depth
from visualization_msgs.msg import Marker

from depth_pose_ros.ros.timeline import Timeline, age
from helpers.node_bench import CAMERA, FRAME, HEIGHT, WIDTH, Bench, camera_info, depth_image, stamps
from helpers.poses import standing

OK, WARN, ERROR, STALE = (
    getattr(DiagnosticStatus, name) for name in ("OK", "WARN", "ERROR", "STALE")
)


class Monitor:
    """Listens to /diagnostics."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._statuses: list[DiagnosticStatus] = []
        bench.peer.create_subscription(
            DiagnosticArray,
            "/diagnostics",
            lambda message: self._statuses.extend(message.status),
            QoSProfile(depth=10),
        )
        bench.ros.wait_for_publishers(bench.peer, "/diagnostics")

    def wait_for(self, level: bytes, text: str = "") -> dict[str, str]:
        """Until a new status has this level and text; returns its values."""
        self._statuses.clear()

        def found():
            return [s for s in self._statuses if s.level == level and text in s.message]

        self._bench.ros.spin_until(found, f"a status of level {level!r} with '{text}'")
        return {item.key: item.value for item in found()[0].values}


@pytest.fixture
def bench(ros, capfd):
    bench = Bench(ros, capfd)
    yield bench
    bench.estimator.open.set()


def test_diagnostics_tell_rates_delays_people_and_the_model(ros, capfd):
    bench = Bench(ros, capfd, **{"diagnostic_updater.period": 0.1, "model": "compact"})
    monitor = Monitor(bench)
    bench.estimator.people = [standing(x=-0.5), standing(x=0.5)]
    for _ in range(4):
        image = depth_image()
        image.header.stamp = bench.node.get_clock().now().to_msg()
        bench.depth.publish(image)
        bench.info.publish(camera_info())
        bench.ros.spin_for(0.1)
    values = monitor.wait_for(OK, "2 people")
    assert values["People"] == "2" and values["Model"] == "compact"
    assert values["State"] == "active" and values["Last error"] == "none"
    assert float(values["Rate in [Hz]"]) > 0 and float(values["Rate out [Hz]"]) > 0
    assert 0 <= float(values["Latency, acquisition to result [ms]"]) < 60_000
    assert 0 <= float(values["Latency, arrival to result [ms]"]) < 60_000
    assert int(values["Dropped frames"]) >= 0


def test_a_fault_is_an_error_until_results_come_again(ros, capfd):
    bench = Bench(ros, capfd, **{"diagnostic_updater.period": 0.1, "stale_after": 60.0})
    monitor = Monitor(bench)
    bench.see()
    bench.send_and_wait(depth_image("rgb8"), camera_info())
    values = monitor.wait_for(ERROR, "encoding 'rgb8' is not depth")
    assert "rgb8" in values["Last error"]
    assert values["Latency, acquisition to result [ms]"] == "unknown", "stamps of another clock"
    bench.see()
    monitor.wait_for(WARN, "encoding 'rgb8' is not depth")


def test_diagnostics_follow_the_life_cycle(ros, capfd):
    bench = Bench(ros, capfd, start=False, **{"diagnostic_updater.period": 0.1})
    monitor = Monitor(bench)
    monitor.wait_for(WARN, "Not active: unconfigured")
    good, bench.make = bench.make, lambda _: (_ for _ in ()).throw(RuntimeError("no weights"))
    bench.node.trigger_configure()
    monitor.wait_for(ERROR, "Cannot configure: no weights")
    bench.make = good
    bench.node.trigger_configure()
    assert monitor.wait_for(WARN, "Not active: inactive")["State"] == "inactive"
    bench.node.trigger_activate()
    bench.connect()
    bench.see()
    monitor.wait_for(OK)


def test_several_cameras_have_statuses_of_their_own(ros):
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


def test_an_unplugged_camera_is_told_of_and_what_was_seen_is_taken_back(ros, capfd):
    bench = Bench(ros, capfd, stale_after=0.3, **{"diagnostic_updater.period": 0.1})
    monitor = Monitor(bench)
    bench.see()
    drawn = {(m.ns, m.id) for m in bench.markers[0].markers}
    bench.wait_for_error("the camera has gone")
    bench.ros.spin_until(lambda: len(bench.markers) == 2, "the deletions")
    assert {m.action for m in bench.markers[1].markers} == {Marker.DELETE}
    assert {(m.ns, m.id) for m in bench.markers[1].markers} == drawn
    bench.ros.spin_until(lambda: len(bench.clouds) == 2, "the empty cloud")
    assert bench.clouds[1].width == 0, "planners forget whom they saw"
    monitor.wait_for(STALE, "No depth image for")
    assert len(bench.errors()) == 1
    bench.node.set_parameters([Parameter("stale_after", value=60.0)])
    bench.see()  # back again
    assert "Depth images again" in bench.log()
    monitor.wait_for(WARN, "the camera has gone")  # a while ago


def test_time_that_jumps_back_starts_afresh(bench):
    bench._stamp = 1000
    bench.see()
    bench._stamp = 10
    bench.send_and_wait(depth_image(), camera_info())
    bench.ros.spin_until(lambda: stamps(bench.clouds)[-1:] == [11], "the cloud")
    bench.ros.spin_until(lambda: len(bench.markers) == 3, "the markers")
    assert [len(c.data) > 0 for c in bench.clouds] == [True, False, True]
    assert {m.action for m in bench.markers[1].markers} == {Marker.DELETE}
    assert "Time has jumped back by 990.0 s" in bench.log()
    assert bench.errors() == []


def test_images_out_of_order_are_no_jump():
    timeline = Timeline()
    for sec, nanosec in ((1000, 0), (1000, 5 * 10**8), (999, 6 * 10**8), (1000, 10**8)):
        assert timeline.jump(Time(sec=sec, nanosec=nanosec)) == 0
    assert timeline.jump(Time(sec=999, nanosec=4 * 10**8)) == pytest.approx(1.1)
    assert timeline.jump(Time(sec=999, nanosec=5 * 10**8)) == 0
    timeline.begin()
    assert timeline.jump(Time(sec=1)) == 0


def test_an_images_age_is_told_only_by_its_own_clock():
    assert age(Time(sec=10, nanosec=10**8), 10_300_000_000) == pytest.approx(0.2)
    for other_clock in (Time(), Time(sec=11), Time(sec=2**31 - 1)):
        assert np.isnan(age(other_clock, 100_000_000_000 if other_clock.sec < 12 else 0))


def wait_until_alone(bench):
    publishers = [
        p
        for p in bench.node.publishers
        if p.topic_name.endswith(("/joints", "/markers", "/poses", "/overlay", "/tf"))
    ]
    bench.ros.spin_until(
        lambda: not any(p.get_subscription_count() for p in publishers), "nobody to listen"
    )


def test_it_rests_while_nobody_listens(ros, capfd):
    bench = Bench(ros, capfd, **{"diagnostic_updater.period": 0.1})
    monitor = Monitor(bench)
    bench.see()
    bench.stop_listening()
    wait_until_alone(bench)
    before = bench.node._health.report().images
    for _ in range(3):
        bench.send(depth_image(), camera_info())
    bench.ros.spin_until(lambda: bench.node._health.report().images > before, "the images")
    monitor.wait_for(OK, "Resting")
    assert len(bench.estimator.calls) == 1
    bench.node.set_parameters([Parameter("lazy", value=False)])
    bench.send_and_wait(depth_image(), camera_info())
    assert len(bench.estimator.calls) == 2


def test_one_listener_wakes_it(ros, capfd):
    bench = Bench(ros, capfd)
    bench.stop_listening()
    wait_until_alone(bench)
    assert not bench.node._outputs.wanted()
    for kind, name in ((PointCloud2, "joints"), (Image, "overlay")):
        subscription = bench.peer.create_subscription(kind, f"depth_pose_node/{name}", print, 1)
        bench.ros.spin_until(bench.node._outputs.wanted, f"{name} to be wanted")
        bench.peer.destroy_subscription(subscription)
        wait_until_alone(bench)


def test_a_listener_to_tf_counts_unless_told_otherwise(ros, capfd):
    from tf2_msgs.msg import TFMessage

    bench = Bench(ros, capfd)
    bench.stop_listening()
    wait_until_alone(bench)
    bench.peer.create_subscription(TFMessage, "/tf", print, 1)
    bench.ros.spin_until(bench.node._outputs.wanted, "TF to be wanted")
    bench.node.set_parameters([Parameter("tf_wakes", value=False)])
    assert not bench.node._outputs.wanted()


def test_the_overlay_shows_the_skeleton_over_the_depth(bench):
    pictures: list[Image] = []
    bench.peer.create_subscription(
        Image, "depth_pose_node/overlay", pictures.append, QoSProfile(depth=10)
    )
    overlay = next(p for p in bench.node.publishers if p.topic_name.endswith("/overlay"))
    bench.ros.wait_for_subscribers(overlay)
    bench.estimator.people = []
    bench.see()
    pose = standing()
    pixels = CAMERA.project(pose.joints).astype(np.float32)
    bench.estimator.people = [replace(pose, pixels=pixels)]
    stamp = bench.see()
    bench.ros.spin_until(lambda: len(pictures) == 2, "the pictures")
    assert (pictures[1].header.stamp.sec, pictures[1].header.frame_id) == (stamp, FRAME)
    assert (pictures[1].encoding, pictures[1].step) == ("bgr8", WIDTH * 3)
    room, drawn = (np.frombuffer(p.data, np.uint8).reshape(HEIGHT, WIDTH, 3) for p in pictures)
    assert (room == room[0, 0]).all(), "a wall is one grey"
    columns, rows = np.rint(pixels).astype(int).T
    assert (drawn[rows, columns] != room[0, 0]).any(axis=-1).all(), "every joint is drawn"
    assert (drawn[:, :20] == room[0, 0]).all(), "and nothing where nobody is"


def test_compressed_depth_is_taken_from_below_the_images_topic(ros, capfd):
    bench = Bench(
        ros, capfd, start=False, depth_topic="/cam/depth/image", image_transport="compressedDepth"
    )
    bench.node.autostart()
    camera = bench.peer.create_publisher(CompressedImage, "/cam/depth/image/compressedDepth", 2)
    bench.match_camera(camera)
    cloud = next(p for p in bench.node.publishers if p.topic_name.endswith("/joints"))
    bench.ros.wait_for_subscribers(cloud)
    assert bench.depth.get_subscription_count() == 0
    bench.calibrate(camera_info())

    def publish(stamp: int, format_: str, data: bytes) -> None:
        header = Header(frame_id=FRAME)
        header.stamp.sec = stamp
        image = CompressedImage(header=header, format=format_)
        image.data.frombytes(data)
        camera.publish(image)
        bench.ros.spin_until(lambda: bench.node.handled[-1:] == [stamp], "the end of its work")

    pixels = np.full((HEIGHT, WIDTH), 2000, np.uint16)
    for stamp in (1, 2):
        publish(stamp, "16UC1; compressedDepth png", b"junk that is no PNG")
    publish(3, "16UC1; compressedDepth png", compressed_depth(pixels))
    np.testing.assert_allclose(bench.estimator.calls[-1][0], 2.0)
    bench.ros.spin_until(lambda: stamps(bench.clouds) == [3], "the cloud")
    (complaint,) = bench.errors()
    assert "not a PNG" in complaint


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_transport", "theora"), ("target_frame", "/map"), ("target_frame", "two words")],
)
def test_what_cannot_be_is_refused(ros, capfd, name, value):
    from rclpy.exceptions import InvalidParameterValueException

    with pytest.raises(InvalidParameterValueException, match=name):
        Bench(ros, capfd, start=False, **{name: value})


def test_simulated_time_that_stands_still_stops_nothing(ros, capfd):
    bench = Bench(ros, capfd, use_sim_time=True)
    bench.see()
