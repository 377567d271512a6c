"""Skeletons from several depth cameras: one node each, in a namespace and with ids of its own.

ros2 launch depth_pose_ros several.launch.py cameras:=cameras.yaml

The file names the cameras and gives each the arguments of depth_pose.launch.py that it needs; see
config/several/two_cameras.yaml.
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
    """One inclusion for each camera, once the file is known."""
    path = LaunchConfiguration("cameras").perform(context)
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(HERE / "depth_pose.launch.py")),
            launch_arguments=arguments.items(),
        )
        for arguments in read(Path(path))
    ]


def read(path: Path) -> list[dict[str, str]]:
    """The arguments of each camera's launch file.

    Raises:
        ValueError: a name that cannot be a namespace and begin an id, or a camera that is not a
            table of arguments.
    """
    cameras = yaml.safe_load(path.read_text())
    if not isinstance(cameras, dict) or not cameras:
        raise ValueError(f"{path} names no camera: see {EXAMPLE}")
    result = []
    for name, given in cameras.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", str(name)):
            raise ValueError(f"{path}: a camera's name is letters and digits, got '{name}'")
        if not isinstance(given, dict):
            raise ValueError(f"{path}: {name} needs arguments, for example camera: realsense")
        # TF names are global: head_front0 and head_rear0 must not meet.
        mine = {"namespace": name, "id_prefix": name}
        mine |= {key: text(value) for key, value in given.items()}
        result.append(mine)
    return result


def text(value: object) -> str:
    """A YAML value as a launch argument has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def generate_launch_description() -> LaunchDescription:
    """Read by ``ros2 launch``."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "cameras",
                default_value=str(EXAMPLE),
                description="YAML file: each camera's name, and the arguments of "
                "depth_pose.launch.py for it",
            ),
            OpaqueFunction(function=start),
        ]
    )
