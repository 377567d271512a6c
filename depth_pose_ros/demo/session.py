"""One run of the demo: node and player in processes of their own, the recorder in this one."""

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

from depth_pose_ros.demo.bag_writer import BagWriter
from depth_pose_ros.demo.frames import DepthSource
from depth_pose_ros.demo.interrupts import held_back
from depth_pose_ros.demo.playback import CAMERA_INFO_TOPIC, DEPTH_TOPIC
from depth_pose_ros.demo.processes import Child
from depth_pose_ros.demo.recorder import TOPICS, Recorder
from depth_pose_ros.demo.transport import large_images

#: The node under its own name, fed by the player.
NODE = (
    *("-m", "depth_pose_ros.ros.main", "--ros-args"),
    *("-r", f"depth/image:={DEPTH_TOPIC}", "-r", f"depth/camera_info:={CAMERA_INFO_TOPIC}"),
)
PLAYER = ("-m", "depth_pose_ros.demo.player")
BAG = "outputs"

_START = 120.0  # seconds for the node: a cold disk reads torch slowly
_LAST_FRAME = 10.0  # seconds for the joints of the last image
_SPIN = 0.05
#: Depth images in the bag, bytes before compression; above it only every n-th is kept.
_BAG_BYTES = 200e6


class DemoError(Exception):
    """The demo cannot go on; the message says why, with the process's own words."""


class Plan(NamedTuple):
    """What to run.

    Attributes:
        source: what is played, opened already, so that its errors come first.
        player_arguments: how the player is told the same.
        output: folder for bag and logs; it exists.
        duration: seconds of the source, None for all.
        node: the interpreter's arguments that start the node.
        say: tells the user what is being done.
    """

    source: DepthSource
    player_arguments: Sequence[str]
    output: Path
    duration: float | None
    node: Sequence[str] = NODE
    say: Callable[[str], None] = print


def isolate() -> int:
    """Keep this process's and its children's ROS on this machine; returns the ROS domain.

    The demo's /tf and topics shall meet neither a robot's nor another demo's.  Whoever has set
    ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST has seen to that, and keeps both.
    """
    domain = 1 + os.getpid() % 101  # above 101 DDS ports run into Linux's ephemeral ports
    if os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST":
        domain = int(os.environ.get("ROS_DOMAIN_ID") or domain)
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":  # which does not know the variable above
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    return domain


def record(plan: Plan) -> Recorder:
    """Play the source through the node and record what comes; returns the recorder, closed.

    Raises:
        DemoError: the node or the player failed, or nothing came out.
        KeyboardInterrupt: a signal of :mod:`interrupts`; the children have ended, the bag is
            complete up to then.
    """
    clear_bag(plan.output / BAG)
    topics = {topic: name for topic, (_, name) in TOPICS.items()}
    with (
        held_back() as check,
        BagWriter(plan.output / BAG, topics) as bag,
        _spinning(bag, _stride(plan), check) as (recorder, spin),
        Child(plan.node, plan.output / "node.log") as node,
        Child(_player(plan), plan.output / "player.log", large_images(plan.output)) as player,
    ):
        plan.say("starting the node ...")
        _wait_for_both(recorder, spin, node, player)
        plan.say("playing ...")
        recorder.listen_to_camera()
        while player.exit_code is None:
            spin()
            _must_run(node)
        if player.exit_code != 0:
            raise DemoError(f"the player stopped:\n{player.last_words()}")
        end = time.monotonic() + _LAST_FRAME
        while not recorder.caught_up and time.monotonic() < end:
            spin()
            _must_run(node)
        if not recorder.film.shots:
            raise DemoError(f"the node published no joints.  Its log ends:\n{node.last_words()}")
    return recorder


def clear_bag(folder: Path) -> None:
    """Remove the bag of an earlier run.

    Raises:
        DemoError: the folder holds something else too.
    """
    if not folder.exists():
        return
    for file in (folder / "metadata.yaml", *folder.glob("*.mcap")):
        file.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        raise DemoError(f"{folder} is in the way and not an earlier recording: {error}") from error


@contextmanager
def _spinning(
    bag: BagWriter, depth_stride: int, check: Callable[[], None]
) -> Iterator[tuple[Recorder, Callable[[], None]]]:
    """The recorder, and what lets it work for a moment; a signal ends it between two of these."""
    # Without rclpy's handlers, which would shut it down in the middle of the recording.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        recorder, executor = Recorder(bag, depth_stride), SingleThreadedExecutor()
        executor.add_node(recorder)

        def spin() -> None:
            executor.spin_once(timeout_sec=_SPIN)
            check()

        try:
            yield recorder, spin
        finally:
            executor.shutdown()
            recorder.destroy_node()
    finally:
        rclpy.try_shutdown()


def _wait_for_both(
    recorder: Recorder, spin: Callable[[], None], node: Child, player: Child
) -> None:
    """Return once node and player are discovered and the node is active.

    The node's answer proves more than its state: discovery is in order, so whoever can answer us
    has found our subscriptions too.
    """
    client = recorder.create_client(GetState, "/depth_pose_node/get_state")
    question: Any = None
    active = False
    end = time.monotonic() + _START
    while not (active and recorder.sees_all_publishers()):
        _must_run(node)
        if player.exit_code is not None:
            raise DemoError(f"the player stopped:\n{player.last_words()}")
        if question is None and client.service_is_ready():
            question = client.call_async(GetState.Request())
        if question is not None and question.done():
            state = question.result().current_state
            question = None
            active = state.id == State.PRIMARY_STATE_ACTIVE
            # It answers only after its own attempt to configure itself: this one is final.
            if state.id == State.PRIMARY_STATE_UNCONFIGURED:
                raise DemoError(f"the node could not be configured:\n{node.last_words()}")
        if time.monotonic() > end:
            raise DemoError(
                f"the node is not ready after {_START:g} s.  Its log ends:\n{node.last_words()}"
            )
        spin()
    recorder.destroy_client(client)


def _must_run(node: Child) -> None:
    if node.exit_code is not None:
        raise DemoError(f"the node ended with exit code {node.exit_code}:\n{node.last_words()}")


def _player(plan: Plan) -> list[str]:
    # For the node and the recorder, which comes last.
    wait_for = ["--subscribers", "2", "--patience", f"{_START:g}"]
    return [*PLAYER, *plan.player_arguments, *wait_for]


def _stride(plan: Plan) -> int:
    camera, frames = plan.source.camera, float(len(plan.source))
    if plan.duration is not None:
        frames = min(frames, plan.duration * plan.source.fps)
    return max(1, round(frames * camera.width * camera.height * 2 / _BAG_BYTES))
