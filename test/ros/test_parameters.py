"""The parameters of the node: defaults, constraints, changes, old names."""

from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from rcl_interfaces.srv import SetParameters
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter

from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_ros.core.tracking import TrackerOptions
from depth_pose_ros.ros import parameters
from depth_pose_ros.ros.options import parameter_table
from helpers.node_harness import (
    NodeHarness,
)


def test_some_parameters_cannot_change_while_configured(harness):
    for name, value in (
        ("model", "x"),
        ("device", "cpu"),
        ("threads", 1),
        ("min_person_score", 0.1),
        ("max_distance", 3.0),
    ):
        (result,) = harness.node.set_parameters([Parameter(name, value=value)])
        assert not result.successful
        assert "only while the node is unconfigured" in result.reason
    for name, value in (("rectified", False), ("id_prefix", "x"), ("autostart", False)):
        (result,) = harness.node.set_parameters([Parameter(name, value=value)])
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
def test_invalid_values_are_rejected_with_a_reason(harness, name, value):
    before = harness.node.get_parameter(name).value
    (result,) = harness.node.set_parameters([Parameter(name, value=value)])
    assert not result.successful and result.reason
    assert harness.node.get_parameter(name).value == before


def test_parameter_changes_take_effect_at_once(harness):
    harness.process()
    results = harness.node.set_parameters(
        [
            Parameter("min_confidence", value=0.95),
            Parameter("joint_diameter", value=0.1),
            Parameter("marker_lifetime", value=1.5),
        ]
    )
    assert all(result.successful for result in results)
    harness.process()
    assert [cloud.width for cloud in harness.clouds] == [NUM_JOINTS, 0]
    harness.node.set_parameters([Parameter("min_confidence", value=0.5)])
    harness.process()
    sphere = harness.markers[-1].markers[0]
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
def test_invalid_start_up_values_are_rejected(ros, capfd, name, value, error):
    with pytest.raises(error, match=name):
        NodeHarness(ros, capfd, start=False, **{name: value})


def test_estimator_parameters_have_the_defaults_of_its_options(harness):
    assert parameters.tracker_options(harness.node) == TrackerOptions()
    options = replace(EstimatorOptions(), min_person_score=TrackerOptions().keep_score)
    assert parameters.estimator_options(harness.node) == options
    harness.node.set_parameters([Parameter("tracking", value=False)])
    assert parameters.estimator_options(harness.node) == EstimatorOptions()


def test_parameters_have_descriptions_and_numbers_have_ranges(harness):
    of_rclpy = (
        "use_sim_time",
        "start_type_description_service",
        "qos_overrides.",
        "diagnostic_updater.",
    )
    own = [name for name in harness.node._parameters if not name.startswith(of_rclpy)]
    assert set(own) == {name for name, _, _ in parameter_table()}
    for name in own:
        descriptor = harness.node.describe_parameter(name)
        assert descriptor.description, name
        if isinstance(harness.node.get_parameter(name).value, float):
            assert descriptor.floating_point_range, name
        elif type(harness.node.get_parameter(name).value) is int:
            assert descriptor.integer_range, name


OLD_VALUES = {
    "mirror": True,
    "publish_humans": False,
    "stale_after": 2.5,
    "tf_wakes": False,
    "tracking_coast": 0.4,
    "tracking_memory": 3.0,
    "tracking_sure_score": 0.7,
}


def test_old_parameter_names_are_read_at_start_with_a_warning(ros, capfd):
    assert set(OLD_VALUES) == set(parameters.OLD_NAMES)
    harness = NodeHarness(ros, capfd, start=False, **OLD_VALUES)
    for old, new in parameters.OLD_NAMES.items():
        assert harness.node.get_parameter(new).value == OLD_VALUES[old]
        assert not harness.node.has_parameter(old)
        harness.wait_for_error(f"Parameter {old} is now named {new}")
    assert len(harness.errors()) == len(OLD_VALUES)


def test_new_parameter_name_overrides_the_old_one(ros, capfd):
    harness = NodeHarness(ros, capfd, start=False, stale_after=2.5, image_timeout=3.5)
    assert harness.node.get_parameter("image_timeout").value == 3.5


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("stale_after", 2, InvalidParameterTypeException),
        ("tracking_memory", -1.0, InvalidParameterValueException),
    ],
)
def test_invalid_values_of_old_parameter_names_are_rejected(ros, capfd, name, value, error):
    with pytest.raises(error, match=parameters.OLD_NAMES[name]):
        NodeHarness(ros, capfd, start=False, **{name: value})


def test_old_parameter_names_can_be_set(harness):
    """With the service that `ros2 param set` calls."""
    client = harness.peer.create_client(SetParameters, "/depth_pose_node/set_parameters")
    harness.ros.spin_until(client.service_is_ready, "the parameter service")

    def call(name, value):
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        future = client.call_async(request)
        harness.ros.spin_until(future.done, "the answer")
        return future.result().results[0]

    assert call("tracking_memory", 4.0).successful
    assert harness.node.get_parameter("tracking_max_age").value == 4.0
    harness.wait_for_error("Parameter tracking_memory is now named tracking_max_age")
    assert not call("tracking_memory", -1.0).successful
    assert "only while the node is unconfigured" in call("mirror", True).reason
    (result,) = harness.node.set_parameters([Parameter("stale_after", value=4.5)])
    assert result.successful and harness.node.get_parameter("image_timeout").value == 4.5
