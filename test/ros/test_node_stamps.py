"""The node with outlier, late and repeated stamps, and with jumps in time."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from visualization_msgs.msg import Marker

from depth_pose_ros.core.skeleton import NUM_JOINTS
from helpers.clouds import unpack
from helpers.monitor import OK, Monitor
from helpers.node_harness import NodeHarness, depth_image, stamps


@pytest.mark.parametrize("first", [10, 5000])
def test_jump_in_time_clears_the_outputs(harness, first):
    harness._stamp = 1000
    harness.process()
    harness.jump(first)
    harness.ros.spin_until(lambda: stamps(harness.clouds)[-1:] == [first + 3], "the cloud")
    harness.ros.spin_until(lambda: len(harness.markers) == 3, "the markers")
    assert [len(c.data) > 0 for c in harness.clouds] == [True, False, True]
    assert {m.action for m in harness.markers[1].markers} == {Marker.DELETE}
    back = first < 1000
    assert f"Time has jumped {'back' if back else 'ahead'} by" in harness.log()
    (error,) = harness.errors()
    assert "s behind the images before it" in error or not back


@pytest.mark.parametrize("wrong", [-1, 0, 1, 3, 500])
def test_one_outlier_stamp_is_one_lost_frame(harness, wrong):
    harness._stamp = 100
    for _ in range(3):
        harness.process()
    image = depth_image()
    image.header.stamp.sec = wrong
    known = harness.node._statistics.snapshot()
    harness.depth.publish(image)
    harness.ros.spin_until(
        lambda: harness.node._statistics.snapshot().num_outliers > known.num_outliers, "the image"
    )
    for _ in range(2):
        harness.process()
    assert stamps(harness.clouds) == [101, 102, 103, 104, 105]
    assert {tuple(unpack(c)["person"]) for c in harness.clouds} == {(0,) * NUM_JOINTS}
    assert not [m for a in harness.markers for m in a.markers if m.action == Marker.DELETE]
    (error,) = harness.errors()
    assert "Depth image ignored: its stamp is" in error
    assert "jumped" not in harness.log()


def test_late_and_repeated_images_are_dropped_and_counted(ros, capfd):
    harness = NodeHarness(ros, capfd, **{"diagnostic_updater.period": 0.1, "image_timeout": 60.0})
    monitor = Monitor(harness)
    harness._stamp = 100
    harness.process()
    harness.process()
    late = depth_image()
    late.header.stamp.sec, late.header.stamp.nanosec = 101, 5 * 10**8
    repeated = depth_image()
    repeated.header.stamp.sec = 102
    for count, image in enumerate((late, repeated), start=1):
        harness.depth.publish(image)
        harness.ros.spin_until(
            lambda n=count: harness.node._statistics.snapshot().num_late == n, "the image"
        )
    harness.process()
    assert stamps(harness.clouds) == [101, 102, 103]
    assert len(harness.tf) == 3
    assert monitor.wait_for(OK)["Late or repeated images"] == "2"
