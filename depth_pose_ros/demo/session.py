"""One run of the demo: node and player as child processes, the recorder in this process."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from depth_pose_ros.demo.playback import CAMERA_INFO_TOPIC, DEPTH_TOPIC
from depth_pose_ros.demo.processes import ChildProcess, deferred_signals, fastdds_profile
from depth_pose_ros.demo.recorder import TOPICS, BagWriter, Recorder
from depth_pose_ros.demo.sources.base import DepthSource

#: Arguments of the interpreter that start the node with the player's topics.
NODE = (
    *("-m", "depth_pose_ros.ros.main", "--ros-args"),
    *("-r", f"depth/image:={DEPTH_TOPIC}", "-r", f"depth/camera_info:={CAMERA_INFO_TOPIC}"),
)
PLAYER = ("-m", "depth_pose_ros.demo.player")
BAG = "outputs"

_START_TIMEOUT = 120.0  # seconds until the node is active; loading torch can be slow
_LAST_FRAME_TIMEOUT = 10.0  # seconds until the joints of the last image
_SPIN_TIMEOUT = 0.05
#: Limit of depth images in the bag, bytes before compression; above it every n-th is written.
_MAX_BAG_BYTES = 200e6


class DemoError(Exception):
    """The demo failed; the message says why and quotes the log of the process."""


class SessionConfig(NamedTuple):
    """Configuration of a run.

    Attributes:
        source: the depth source.
        player_arguments: arguments of the player that select the same source.
        output: existing folder for bag and logs.
        duration: seconds of the source to play; None for all.
        node: arguments of the interpreter that start the node.
        log: called with progress messages.
    """

    source: DepthSource
    player_arguments: Sequence[str]
    output: Path
    duration: float | None
    node: Sequence[str] = NODE
    log: Callable[[str], None] = print


def isolate() -> int:
    """Restrict ROS in this process and its children to this machine; returns the ROS domain.

    The topics of the demo must not mix with those of a robot or another demo.  ROS_DOMAIN_ID is
    kept if ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST is set as well.
    """
    domain = 1 + os.getpid() % 101  # above 101, DDS uses Linux's ephemeral ports
    if os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST":
        domain = int(os.environ.get("ROS_DOMAIN_ID") or domain)
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":  # does not support the variable above
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    return domain


def record(config: SessionConfig) -> Recorder:
    """Play the source, run the node and record its outputs; returns the closed recorder.

    Raises:
        DemoError: the node or the player failed, or the node published no joints.
        KeyboardInterrupt: after a signal; the children have been stopped and the bag closed.
    """
    clear_bag(config.output / BAG)
    topics = {topic: name for topic, (_, name) in TOPICS.items()}
    profile = fastdds_profile(config.output)
    with (
        deferred_signals() as check,
        BagWriter(config.output / BAG, topics) as bag,
        _running_recorder(bag, _depth_stride(config), check) as (recorder, spin),
        ChildProcess(config.node, config.output / "node.log") as node,
        ChildProcess(_player_command(config), config.output / "player.log", profile) as player,
    ):
        config.log("starting the node ...")
        _wait_until_ready(recorder, spin, node, player)
        config.log("playing ...")
        recorder.subscribe_to_camera()
        while player.exit_code is None:
            spin()
            _check_running(node)
        if player.exit_code != 0:
            raise DemoError(f"the player failed:\n{player.log_tail()}")
        end = time.monotonic() + _LAST_FRAME_TIMEOUT
        while not recorder.caught_up and time.monotonic() < end:
            spin()
            _check_running(node)
        if not recorder.sampler.frames:
            raise DemoError(f"the node published no joints.  End of its log:\n{node.log_tail()}")
    return recorder


def clear_bag(folder: Path) -> None:
    """Delete the bag of an earlier run.

    Raises:
        DemoError: the folder contains other files.
    """
    if not folder.exists():
        return
    for file in (folder / "metadata.yaml", *folder.glob("*.mcap")):
        file.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        raise DemoError(f"{folder} exists and is not an earlier recording: {error}") from error


@contextmanager
def _running_recorder(
    bag: BagWriter, depth_stride: int, check: Callable[[], None]
) -> Iterator[tuple[Recorder, Callable[[], None]]]:
    """Yield the recorder and a function that spins it once and raises deferred signals."""
    # rclpy's signal handlers would shut down the context during the recording.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        recorder, executor = Recorder(bag, depth_stride), SingleThreadedExecutor()
        executor.add_node(recorder)

        def spin() -> None:
            executor.spin_once(timeout_sec=_SPIN_TIMEOUT)
            check()

        try:
            yield recorder, spin
        finally:
            executor.shutdown()
            recorder.destroy_node()
    finally:
        rclpy.try_shutdown()


def _wait_until_ready(
    recorder: Recorder, spin: Callable[[], None], node: ChildProcess, player: ChildProcess
) -> None:
    """Wait until node and player have been discovered and the node is active.

    An answer of the node's service also implies that the node has discovered the recorder.
    """
    client = recorder.create_client(GetState, "/depth_pose_node/get_state")
    future: Any = None
    active = False
    end = time.monotonic() + _START_TIMEOUT
    while not (active and recorder.sees_all_publishers()):
        _check_running(node)
        if player.exit_code is not None:
            raise DemoError(f"the player failed:\n{player.log_tail()}")
        if future is None and client.service_is_ready():
            future = client.call_async(GetState.Request())
        if future is not None and future.done():
            state = future.result().current_state
            future = None
            active = state.id == State.PRIMARY_STATE_ACTIVE
            # The node answers only after it has tried to configure itself.
            if state.id == State.PRIMARY_STATE_UNCONFIGURED:
                raise DemoError(f"the node could not be configured:\n{node.log_tail()}")
        if time.monotonic() > end:
            raise DemoError(
                f"the node is not ready after {_START_TIMEOUT:g} s.  End of its log:\n"
                f"{node.log_tail()}"
            )
        spin()
    recorder.destroy_client(client)


def _check_running(node: ChildProcess) -> None:
    if node.exit_code is not None:
        raise DemoError(f"the node ended with exit code {node.exit_code}:\n{node.log_tail()}")


def _player_command(config: SessionConfig) -> list[str]:
    # The subscribers are the node and the recorder.
    wait_for = ["--subscribers", "2", "--timeout", f"{_START_TIMEOUT:g}"]
    return [*PLAYER, *config.player_arguments, *wait_for]


def _depth_stride(config: SessionConfig) -> int:
    camera, frames = config.source.camera, float(len(config.source))
    if config.duration is not None:
        frames = min(frames, config.duration * config.source.fps)
    return max(1, round(frames * camera.width * camera.height * 2 / _MAX_BAG_BYTES))
