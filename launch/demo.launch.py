"""Skeletons without a camera: plays a recording in a loop into depth_pose_node.

ros2 launch depth_pose_ros demo.launch.py rviz:=true
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from depth_pose_ros.ros.options import defaults

HERE = Path(__file__).resolve().parent
#: Arguments of depth_pose.launch.py: default and description.
NODE_ARGUMENTS = {
    "rviz": ("false", "Show depth cloud, skeletons and TF in RViz"),
    **{name: ("", defaults()[name][1].description) for name in ("model", "device")},
    "params_file": ("", "Parameter file of the node"),
    "log_level": ("info", "Minimum severity of the node's log messages"),
}


def generate_launch_description() -> LaunchDescription:
    """Called by ``ros2 launch``."""
    player = Node(
        package="depth_pose_ros",
        executable="depth_pose_player",
        arguments=["--loop", ["--source=", LaunchConfiguration("source")]],
        output="screen",
        emulate_tty=True,
    )
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "depth_pose.launch.py")),
        launch_arguments={
            "camera": "kinect2_sd",
            **{name: LaunchConfiguration(name) for name in NODE_ARGUMENTS},
        }.items(),
    )
    shutdown = RegisterEventHandler(
        OnProcessExit(
            target_action=player, on_exit=[EmitEvent(event=Shutdown(reason="the player has ended"))]
        )
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "source",
                default_value="",
                description="A bag, a folder of PNG files or a .mat file. Empty: the included clip",
            ),
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in NODE_ARGUMENTS.items()
            ),
            player,
            node,
            shutdown,
        ]
    )
