"""Starts depth_pose_node with the topics and parameters of a camera.

ros2 launch depth_pose_ros depth_pose.launch.py camera:=kinect2_sd rviz:=true
ros2 launch depth_pose_ros depth_pose.launch.py depth_topic:=/my/depth/image_rect
"""

import re
from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from depth_pose_ros.ros.options import defaults

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / "config"
CAMERAS: dict[str, dict[str, str]] = yaml.safe_load((HERE / "cameras.yaml").read_text())
NODE = "depth_pose_node"
LEVEL_FRAME = "depth_pose_view"
BOOLEAN = ["true", "false"]

#: Node parameters that are launch arguments too; if empty, the parameter files decide.
PARAMETERS = (
    "model",
    "device",
    "rectified",
    "image_transport",
    "target_frame",
    "id_prefix",
)

#: From the camera's optical frame (z forward, y down) to a level one (x forward, z up): x, y, z, w.
OPTICAL_TO_LEVEL = (0.5, -0.5, 0.5, 0.5)


def arguments() -> list[DeclareLaunchArgument]:
    """The launch arguments."""
    return [
        _argument(
            "camera", "kinect2_sd", "Camera whose topics and parameters are used", [*CAMERAS]
        ),
        _argument("depth_topic", "", "Depth image topic. Empty: that of the camera"),
        _argument(
            "camera_info_topic",
            "",
            "CameraInfo topic. Empty: that of the camera or, if depth_topic is given, camera_info "
            "in its namespace",
        ),
        _argument("namespace", "", "Namespace of the node and its topics"),
        _argument("params_file", "", "Parameter file; overrides that of the camera"),
        *(_parameter_argument(name) for name in PARAMETERS),
        _argument("autostart", "true", defaults()["autostart"][1].description, BOOLEAN),
        _argument("rviz", "false", "Show depth cloud, skeletons and TF in RViz", BOOLEAN),
        _argument("use_sim_time", "false", "Use the time of /clock", BOOLEAN),
        _argument(
            "log_level",
            "info",
            "Minimum severity of the node's log messages",
            ["debug", "info", "warn", "error", "fatal"],
        ),
    ]


def _argument(
    name: str, default: str, description: str, choices: list[str] | None = None
) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=choices
    )


def _parameter_argument(name: str) -> DeclareLaunchArgument:
    default, constraint = defaults()[name]
    choices = None
    if isinstance(default, bool):
        choices = ["", *BOOLEAN]
    elif re.fullmatch(r"[\w|-]+", constraint.pattern):  # a list of words
        choices = ["", *constraint.pattern.split("|")]
    return _argument(name, "", constraint.description, choices)


def start(context: LaunchContext) -> list[Node]:
    """The nodes, once the values of the arguments are known."""
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments()}
    camera = CAMERAS[given["camera"]]
    topics = input_topics(camera, given["depth_topic"], given["camera_info_topic"])
    node = LifecycleNode(
        package="depth_pose_ros",
        executable=NODE,
        name=NODE,
        namespace=given["namespace"],
        # Each overrides those before it.  The node activates itself, by its parameter autostart:
        # this works from Humble on, and in the same way without a launch file.
        parameters=[
            str(CONFIG / f"{given['camera']}.yaml"),
            *([given["params_file"]] if given["params_file"] else []),
            explicit_parameters(given),
        ],
        remappings=list(topics.items()),
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
        emulate_tty=True,
    )
    if given["rviz"] != "true":
        return [node]
    namespace = given["namespace"].strip("/")
    outputs = f"/{namespace}/{NODE}" if namespace else f"/{NODE}"
    return [node, *rviz(camera["frame"], topics, outputs)]


def input_topics(camera: dict[str, str], depth: str, camera_info: str) -> dict[str, str]:
    """Remappings of the node's input topics."""
    if depth and not camera_info:
        camera_info = f"{depth.rpartition('/')[0]}/camera_info"
    return {
        "depth/image": depth or camera["depth_topic"],
        "depth/camera_info": camera_info or camera["camera_info_topic"],
    }


def explicit_parameters(given: dict[str, str]) -> dict[str, Any]:
    """Node parameters from the launch arguments."""
    result: dict[str, Any] = {name: given[name] == "true" for name in ("autostart", "use_sim_time")}
    for name in PARAMETERS:
        if given[name]:
            # Typed, because launch would read a model named 7 as a number.
            kind = type(defaults()[name][0])
            text = given[name]
            result[name] = text == "true" if kind is bool else ParameterValue(text, value_type=kind)
    return result


def rviz(frame: str, topics: dict[str, str], outputs: str) -> list[Node]:
    """RViz, and a level frame as its fixed frame: in an optical frame the room lies on its side."""
    x, y, z, w = (str(value) for value in OPTICAL_TO_LEVEL)
    level = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        name="depth_pose_view",
        arguments=[
            *("--qx", x, "--qy", y, "--qz", z, "--qw", w),
            *("--frame-id", frame, "--child-frame-id", LEVEL_FRAME),
        ],
    )
    window = Node(
        package="rviz2",
        executable="rviz2",
        name="depth_pose_rviz",
        arguments=["-d", str(CONFIG / "depth_pose.rviz"), "-f", LEVEL_FRAME],
        remappings=[
            *((f"/{name}", topic) for name, topic in topics.items()),
            *(
                (f"/{NODE}/{name}", f"{outputs}/{name}")
                for name in ("markers", "joints", "overlay")
            ),
        ],
    )
    return [level, window]


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=start)])
