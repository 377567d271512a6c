"""Starts one depth_pose_node per camera, each with its own namespace and id prefix.

ros2 launch depth_pose_ros several.launch.py cameras:=cameras.yaml

The file contains the name of each camera and its arguments of depth_pose.launch.py, as
config/several/two_cameras.yaml does.
"""

import re
from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "config" / "several" / "two_cameras.yaml"


def start(context: LaunchContext) -> list[IncludeLaunchDescription]:
    """depth_pose.launch.py for each camera, once the file is known."""
    path = LaunchConfiguration("cameras").perform(context)
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(HERE / "depth_pose.launch.py")),
            launch_arguments=arguments.items(),
        )
        for arguments in read(Path(path))
    ]


def read(path: Path) -> list[dict[str, str]]:
    """The arguments of depth_pose.launch.py for each camera.

    Raises:
        ValueError: a name that is not valid as a namespace and an id prefix, or arguments that are
            not a mapping.
    """
    cameras = yaml.safe_load(path.read_text())
    if not isinstance(cameras, dict) or not cameras:
        raise ValueError(f"{path} contains no camera: see {EXAMPLE}")
    result = []
    for name, given in cameras.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", str(name)):
            raise ValueError(f"{path}: a camera name consists of letters and digits, got '{name}'")
        if not isinstance(given, dict):
            raise ValueError(
                f"{path}: camera {name} needs arguments, for example camera: realsense"
            )
        # TF names are global: the frames of two cameras must differ (head_front0, head_rear0).
        arguments = {"namespace": name, "id_prefix": name}
        arguments |= {key: text(value) for key, value in given.items()}
        result.append(arguments)
    return result


def text(value: object) -> str:
    """A YAML value as a launch argument."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "cameras",
                default_value=str(EXAMPLE),
                description="YAML file: for each camera, its arguments of depth_pose.launch.py",
            ),
            OpaqueFunction(function=start),
        ]
    )
