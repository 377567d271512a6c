"""The node's parameters: names, defaults, what they mean and which values are refused."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from depth_pose_ros.core.tracking import TrackerOptions

Value = bool | int | float | str


@dataclass(frozen=True)
class _Declaration:
    """One parameter.

    ``fixed`` ones cannot change while the node runs, ``structural`` ones only while it is
    unconfigured, the others at any time.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    pattern: str = ""
    fixed: bool = False
    structural: bool = False

    def descriptor(self) -> ParameterDescriptor:
        descriptor = ParameterDescriptor(description=self.description, read_only=self.fixed)
        constraints = []
        if self.pattern:
            constraints.append(f"matches {self.pattern}")
        if self.structural:
            constraints.append("changes only while the node is unconfigured")
        descriptor.additional_constraints = "; ".join(constraints)
        if self.low is not None and self.high is not None:
            if isinstance(self.default, int):
                descriptor.integer_range = [
                    IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)
                ]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=self.low, to_value=self.high, step=0.0)
                ]
        return descriptor


_DECLARATIONS = (
    _Declaration(
        "autostart",
        True,
        "Configure and activate at start.  Set to false where a life-cycle manager does it.",
        fixed=True,
    ),
    _Declaration(
        "model",
        "",
        "Weights: the name of a shipped model, or the path of a .safetensors file.  Empty: the "
        "shipped default.",
        structural=True,
    ),
    _Declaration(
        "device",
        "auto",
        "Where the network runs: auto (a GPU if there is one), cpu, cuda or cuda:<number>.",
        pattern=r"auto|cpu|cuda(:\d+)?",
        structural=True,
    ),
    _Declaration(
        "backend",
        "auto",
        "What runs the networks: torch, openvino, openvino-int8 (the first network in whole "
        "numbers) or auto, the fastest that is installed.",
        pattern=r"auto|torch|openvino|openvino-int8",
        structural=True,
    ),
    _Declaration(
        "threads",
        2,
        "Processor threads that the network may use.",
        low=1,
        high=64,
        structural=True,
    ),
    _Declaration(
        "flip_test",
        False,
        "Whether the first network looks at everybody a second time, in the mirror: a little more "
        "accurate, and slower.",
        structural=True,
    ),
    _Declaration(
        "max_people",
        6,
        "At most this many people in one frame, the surest first.  Each costs time.",
        low=1,
        high=32,
        structural=True,
    ),
    _Declaration(
        "min_person_score",
        0.5,
        "Whoever the networks are less sure of than this is taken for furniture.",
        low=0.0,
        high=1.0,
        structural=True,
    ),
    _Declaration(
        "max_distance",
        5.5,
        "Metres: nobody farther from the camera is looked for.  The shipped weights have learned "
        "people at up to 5 m.",
        low=0.5,
        high=100.0,
        structural=True,
    ),
    _Declaration(
        "rectified",
        True,
        "Whether the depth image is rectified (image_rect topics): then P of camera_info holds and "
        "D is ignored.  False for image_raw: K holds and the distortion D is undone.",
        fixed=True,
    ),
    _Declaration(
        "image_transport",
        "raw",
        "raw: sensor_msgs/Image on depth/image.  compressedDepth: image_transport's PNG or RVL on "
        "the topic of that name below it.",
        pattern="raw|compressedDepth",
        structural=True,
    ),
    _Declaration(
        "target_frame",
        "",
        "TF frame of the results, as map or base_link; empty: the depth image's own.",
        pattern=r"([^/\s]\S*)?",
        structural=True,
    ),
    _Declaration(
        "lazy",
        True,
        "Rest while nobody subscribes to any result.",
    ),
    _Declaration(
        "tf_wakes",
        True,
        "Whether a listener to TF counts as a subscriber.  Most robots always have one: with "
        "false, frames are sent only while another result is subscribed to.",
    ),
    _Declaration(
        "stale_after",
        1.0,
        "Seconds without a depth image after which the camera counts as gone, and what was seen is "
        "taken back.",
        low=0.1,
        high=60.0,
    ),
    _Declaration(
        "min_confidence",
        0.0,
        "Joints with less confidence are left out of markers, TF and cloud.",
        low=0.0,
        high=1.0,
    ),
    _Declaration(
        "tracking",
        True,
        "Follow people from frame to frame: ids last, joints are smoothed.  False: every frame by "
        "itself, ids from left to right.",
    ),
    _Declaration(
        "tracking_max_age",
        TrackerOptions.max_age,
        "Seconds that somebody who is no longer found keeps the id, should they be found again.",
        low=0.0,
        high=60.0,
    ),
    _Declaration(
        "tracking_predict_time",
        TrackerOptions.predict_time,
        "Seconds that somebody who is no longer found is still published, by prediction.",
        low=0.0,
        high=60.0,
    ),
    _Declaration(
        "tracking_smoothing",
        TrackerOptions.smoothing,
        "How strongly joints are smoothed: 0 hardly, 1 as measured on real estimates, more costs "
        "latency.",
        low=0.0,
        high=10.0,
    ),
    _Declaration(
        "tracking_confirm_score",
        TrackerOptions.confirm_score,
        "Who has at least this score is published at once, others when seen a second time.",
        low=0.0,
        high=1.0,
    ),
    _Declaration("publish_markers", True, "Publish ~/markers for RViz.", fixed=True),
    _Declaration("publish_tf", True, "Send a TF frame for every joint.", fixed=True),
    _Declaration("publish_cloud", True, "Publish ~/joints, a point cloud of joints.", fixed=True),
    _Declaration("publish_poses", True, "Publish ~/poses, where people are and face.", fixed=True),
    _Declaration(
        "publish_overlay", True, "Publish ~/overlay, skeletons over the depth image.", fixed=True
    ),
    _Declaration(
        "publish_humans",
        True,
        "Publish REP-155's topics below /humans/bodies, if hri_msgs is installed.",
        fixed=True,
    ),
    _Declaration(
        "id_prefix",
        "p",
        "What body ids begin with: frames are named like head_p0.  TF names are global, so give "
        "each of several cameras its own.",
        pattern=r"[A-Za-z][A-Za-z0-9]*",
        fixed=True,
    ),
    _Declaration(
        "marker_lifetime",
        0.25,
        "Seconds that RViz shows a marker without news; 0 is for ever.",
        low=0.0,
        high=60.0,
    ),
    _Declaration("joint_diameter", 0.05, "Metres; bones scale with it.", low=0.005, high=0.5),
)
_BY_NAME = {declaration.name: declaration for declaration in _DECLARATIONS}


def declare(node: Node) -> None:
    """Declare all parameters.

    Raises:
        rclpy.exceptions.ParameterException: a start-up value of a wrong type or out of range.
    """
    for declaration in _DECLARATIONS:
        node.declare_parameter(declaration.name, declaration.default, declaration.descriptor())


def tracker_settings(node: Node) -> TrackerOptions | None:
    """What the parameters ``tracking...`` say now; None where nobody is to be tracked."""
    if not node.get_parameter("tracking").value:
        return None
    names = [field.name for field in fields(TrackerOptions)]
    return TrackerOptions(**{n: node.get_parameter(f"tracking_{n}").value for n in names})


def table() -> list[tuple[str, str, str]]:
    """Name, default and meaning of every parameter: what the README lists."""

    def written(value: Value) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value) or '""'

    return [(d.name, written(d.default), d.description) for d in _DECLARATIONS]


def refusal(parameters: Iterable[Parameter], configured: bool) -> str:
    """Why these values cannot be set, or "" if they can.

    rclpy itself holds types, ranges and read-only parameters; this holds the rest.

    Args:
        parameters: as rclpy hands them to a set-parameters callback; others' are let through.
        configured: whether the node has left the state "unconfigured".
    """
    for parameter in parameters:
        declaration = _BY_NAME.get(parameter.name)
        if declaration is None:
            continue
        value = parameter.value
        if declaration.structural and configured:
            return (
                f"{parameter.name} can change only while the node is unconfigured: first "
                "`ros2 lifecycle set <node> deactivate` and `cleanup`, then set it, then "
                "`configure` and `activate`"
            )
        if isinstance(value, float) and not math.isfinite(value):
            return f"{parameter.name} must be a finite number, got {value}"
        if declaration.pattern and not re.fullmatch(declaration.pattern, str(value)):
            return f"{parameter.name} must match {declaration.pattern}, got '{value}'"
    return ""
