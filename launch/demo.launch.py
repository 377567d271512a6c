"""Skeletons without a camera: plays a recorded scene, in a loop, into depth_pose_node.

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

HERE = Path(__file__).resolve().parent
PASSED_ON = {
    "rviz": ("false", "Show depth cloud, skeletons and TF in RViz"),
    "model": ("", "Weights: a shipped model's name or a .safetensors file"),
    "device": ("", "auto, cpu, cuda or cuda:<number>"),
    "params_file": ("", "YAML file with the node's parameters"),
    "log_level": ("info", "Least severity that the node logs"),
}


def generate_launch_description() -> LaunchDescription:
    """Read by ``ros2 launch``."""
    source = ["--source=", LaunchConfiguration("source")]
    player = Node(
        package="depth_pose_ros",
        executable="depth_pose_player",
        arguments=["--loop", source],
        output="screen",
        emulate_tty=True,
    )
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "depth_pose.launch.py")),
        launch_arguments={
            "camera": "kinect2_sd",
            **{name: LaunchConfiguration(name) for name in PASSED_ON},
        }.items(),
    )
    # Without a camera there is nothing left to see.
    end = RegisterEventHandler(
        OnProcessExit(
            target_action=player, on_exit=[EmitEvent(event=Shutdown(reason="the player has ended"))]
        )
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "source",
                default_value="",
                description="A bag, a folder of PNGs or a .mat; empty: the clip that ships with us",
            ),
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in PASSED_ON.items()
            ),
            player,
            node,
            end,
        ]
    )
