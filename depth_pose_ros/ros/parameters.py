"""The node's parameters, declared from the option classes; old parameter names."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.parameter import Parameter

from depth_pose_ros.core.options import Constraint, EstimatorOptions, Value, constraints
from depth_pose_ros.core.tracking.options import TrackerOptions
from depth_pose_ros.ros import log_messages
from depth_pose_ros.ros.options import TRACKER_PREFIX, defaults

#: Parameter names of version 0.1 that are read for one more release, and what replaces them.
OLD_NAMES = {
    "mirror": "flip_test",
    "publish_humans": "publish_ros4hri",
    "stale_after": "image_timeout",
    "tf_wakes": "count_tf_subscribers",
    "tracking_coast": "tracking_predict_time",
    "tracking_memory": "tracking_max_age",
    "tracking_sure_score": "tracking_confirm_score",
}

_DEFAULTS = defaults()
T = TypeVar("T", EstimatorOptions, TrackerOptions)


def declare(node: Node) -> None:
    """Declare all parameters.

    Raises:
        rclpy.exceptions.ParameterException: an override of a wrong type or out of range.
    """
    old_values = _old_values(node)
    for name, (default, constraint) in _DEFAULTS.items():
        value = old_values.get(name, default)
        if type(value) is not type(default):
            given = Parameter(name, value=value)
            raise InvalidParameterTypeException(given, Parameter.Type.from_parameter_value(default))
        node.declare_parameter(name, value, _descriptor(constraint, default))


def current_names(node: Node, parameters: Iterable[Parameter]) -> list[Parameter]:
    """The same parameters with old names replaced; logs a warning for each."""
    result = []
    for parameter in parameters:
        name = OLD_NAMES.get(parameter.name)
        if name is not None:
            _warn(node, parameter.name)
            parameter = Parameter(name, value=parameter.value)
        result.append(parameter)
    return result


def estimator_options(node: Node) -> EstimatorOptions:
    """The estimator's options as the parameters are now.

    With tracking, poses down to ``tracking_keep_score`` are passed on to the tracker.
    """
    options: EstimatorOptions = _read(node, EstimatorOptions)
    tracker = tracker_options(node)
    if tracker is None:
        return options
    score = min(options.min_person_score, tracker.keep_score)
    return replace(options, min_person_score=score)


def tracker_options(node: Node) -> TrackerOptions | None:
    """The tracker's options as the parameters are now; None if ``tracking`` is false."""
    if not node.get_parameter("tracking").value:
        return None
    return _read(node, TrackerOptions, TRACKER_PREFIX)


def rejection(parameters: Iterable[Parameter], configured: bool) -> str:
    """Why these values cannot be set, or "" if they can.

    rclpy itself checks types, ranges and read-only parameters.

    Args:
        parameters: as rclpy passes them to a set-parameters callback; unknown ones are accepted.
        configured: whether the node has left the state "unconfigured".
    """
    for parameter in parameters:
        if parameter.name not in _DEFAULTS:
            continue
        _, constraint = _DEFAULTS[parameter.name]
        if constraint.change == "unconfigured" and configured:
            return log_messages.PARAMETER_NEEDS_UNCONFIGURED.format(name=parameter.name)
        try:
            constraint.check(parameter.name, parameter.value)
        except ValueError as error:
            return str(error)
    return ""


def _old_values(node: Node) -> dict[str, Value]:
    """Values given at start under old names, by the new names."""
    values: dict[str, Value] = {}
    for old, new in OLD_NAMES.items():
        # The public way to read an override: declare the name, then remove it again.
        value = node.declare_parameter(old, descriptor=ParameterDescriptor(dynamic_typing=True))
        if value.value is not None:
            _warn(node, old)
            values[new] = value.value
        node.undeclare_parameter(old)
    return values


def _warn(node: Node, old: str) -> None:
    message = log_messages.OLD_PARAMETER_NAME.format(old=old, new=OLD_NAMES[old])
    node.get_logger().warning(message)


def _read(node: Node, options: type[T], prefix: str = "") -> T:
    names = [name for name, c in constraints(options).items() if c.parameter]
    return options(**{name: node.get_parameter(prefix + name).value for name in names})


def _descriptor(constraint: Constraint, default: Value) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=constraint.description, read_only=constraint.change == "start"
    )
    additional = []
    if constraint.pattern:
        additional.append(f"matches {constraint.pattern}")
    if constraint.change == "unconfigured":
        additional.append("changes only while the node is unconfigured")
    descriptor.additional_constraints = "; ".join(additional)
    if constraint.low is not None and constraint.high is not None:
        low, high = constraint.low, constraint.high
        if isinstance(default, int):
            descriptor.integer_range = [
                IntegerRange(from_value=int(low), to_value=int(high), step=1)
            ]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            ]
    return descriptor
