"""Skeletons from a depth camera: starts depth_pose_node with the topics of a known camera.

ros2 launch depth_pose_ros depth_pose.launch.py camera:=kinect2_sd rviz:=true
ros2 launch depth_pose_ros depth_pose.launch.py depth_topic:=/my/depth/image_rect
"""

from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

CONFIG = Path(__file__).resolve().parents[1] / "config"
NODE = "depth_pose_node"
LEVEL_FRAME = "depth_pose_view"

#: From the camera's optical frame (z forward, y down) to a level one (x forward, z up): x, y, z, w.
OPTICAL_TO_LEVEL = (0.5, -0.5, 0.5, 0.5)


def cameras() -> list[str]:
    """The names of the presets: the YAML files in config/."""
    return sorted(path.stem for path in CONFIG.glob("*.yaml"))


def arguments() -> list[DeclareLaunchArgument]:
    """What can be given on the command line; an empty value leaves the preset's or the default."""
    return [
        DeclareLaunchArgument(
            "camera",
            default_value="kinect2_sd",
            choices=cameras(),
            description="Preset of topics and parameters, from config/",
        ),
        DeclareLaunchArgument(
            "depth_topic", default_value="", description="Depth image instead of the preset's"
        ),
        DeclareLaunchArgument(
            "camera_info_topic",
            default_value="",
            description="Calibration instead of the preset's; empty with a depth_topic: the "
            "camera_info beside it",
        ),
        DeclareLaunchArgument(
            "rectified",
            default_value="",
            choices=["", "true", "false"],
            description="Whether the depth image is rectified, instead of the preset's",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of the node and its outputs"
        ),
        DeclareLaunchArgument(
            "id_prefix",
            default_value="",
            description="What body ids begin with; each of several cameras needs its own",
        ),
        DeclareLaunchArgument(
            "target_frame",
            default_value="",
            description="TF frame of the results, as map; empty: the depth image's own",
        ),
        DeclareLaunchArgument(
            "image_transport",
            default_value="",
            choices=["", "raw", "compressedDepth"],
            description="How the depth image comes, instead of the preset's",
        ),
        DeclareLaunchArgument(
            "model",
            default_value="",
            description="Weights: a shipped model's name or a .safetensors file",
        ),
        DeclareLaunchArgument(
            "device", default_value="", description="auto, cpu, cuda or cuda:<number>"
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value="",
            description="YAML file with the node's parameters; they override the preset's",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=["true", "false"],
            description="Configure and activate the node; false leaves that to a manager",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="false",
            choices=["true", "false"],
            description="Show depth cloud, skeletons and TF in RViz",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="Take the time from /clock",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="Least severity that the node logs",
        ),
    ]


def start(context: LaunchContext) -> list[Node]:
    """The nodes, once the arguments are known."""
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments()}
    preset = yaml.safe_load((CONFIG / f"{given['camera']}.yaml").read_text())
    topics = input_topics(preset["topics"], given["depth_topic"], given["camera_info_topic"])
    node = LifecycleNode(
        package="depth_pose_ros",
        executable=NODE,
        name=NODE,
        namespace=given["namespace"],
        # Each overrides the ones before it.  The node activates itself, by its parameter autostart:
        # that works from Humble on, and in the same way without a launch file.
        parameters=[
            preset["parameters"],
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
    return [node, *rviz(preset["frame"], topics, outputs)]


def input_topics(preset: dict[str, str], depth: str, camera_info: str) -> dict[str, str]:
    """The node's topic -> the camera's, of the preset unless given."""
    topics = dict(preset)
    if depth:
        topics["depth/image"] = depth
        topics["depth/camera_info"] = f"{depth.rpartition('/')[0]}/camera_info"
    if camera_info:
        topics["depth/camera_info"] = camera_info
    return topics


def explicit_parameters(given: dict[str, str]) -> dict[str, Any]:
    """The node's parameters that were given on the command line."""
    flags = {name: given[name] == "true" for name in ("autostart", "use_sim_time")}
    if given["rectified"]:
        flags["rectified"] = given["rectified"] == "true"
    # Typed, or launch would read a model called 7 as a number.
    texts = {
        name: ParameterValue(given[name], value_type=str)
        for name in ("model", "device", "id_prefix", "target_frame", "image_transport")
        if given[name]
    }
    return {**flags, **texts}


def rviz(frame: str, topics: dict[str, str], outputs: str) -> list[Node]:
    """RViz, and a level frame to look from: an optical frame alone shows the room on its side."""
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
            *((f"/{ours}", camera) for ours, camera in topics.items()),
            (f"/{NODE}/markers", f"{outputs}/markers"),
            (f"/{NODE}/joints", f"{outputs}/joints"),
            (f"/{NODE}/overlay", f"{outputs}/overlay"),
        ],
    )
    return [level, window]


def generate_launch_description() -> LaunchDescription:
    """Read by ``ros2 launch``."""
    return LaunchDescription([*arguments(), OpaqueFunction(function=start)])
