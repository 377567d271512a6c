"""Plays a depth source as a Kinect v2 driver would: the built-in camera of demo and launch file.

python -m depth_pose_ros.demo.player [--source SOURCE] [--loop] ...
"""

import argparse
import array
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.frames import DepthFrame, DepthSource, SourceError
from depth_pose_ros.demo.read_ahead import read_ahead
from depth_pose_ros.demo.sources import open_source

DEPTH_TOPIC = "/kinect2/sd/image_depth_rect"
CAMERA_INFO_TOPIC = "/kinect2/sd/camera_info"
FRAME_ID = "kinect2_ir_optical_frame"

#: Later than this, in seconds, the player gives up its timetable and goes on from now: frames
#: thrown in faster than they were taken would say nothing about the node.
_LATEST = 0.5
_AHEAD_BYTES = 80_000_000  # what may be read before it is due: the whole built-in clip
_DELIVERY = 2.0  # seconds to wait for what is on its way
_TAKEN = 0.2  # seconds for best-effort subscribers, who acknowledge nothing, to take the last image
#: What follows the last frame of a loop comes this many frames later.
_LOOP_PAUSE = 1.0


class NobodyListens(Exception):
    """The subscribers that were waited for did not come."""


class Options(NamedTuple):
    """How to play.

    Attributes:
        duration: seconds of the source to play at most; None for all of it.
        loop: begin again at the end, for ever.
        subscribers: matched subscriptions of the depth image to wait for before the first frame;
            a loop does not wait.
        patience: seconds to wait for them.
    """

    duration: float | None = None
    loop: bool = False
    subscribers: int = 1
    patience: float = 60.0


class Player(Node):
    """Publishes depth images and their camera_info, stamped with the time of publication."""

    def __init__(self, camera: Camera, **options: Any) -> None:
        super().__init__("kinect2_player", **options)
        # As kinect2_bridge publishes.
        qos = QoSProfile(depth=2, reliability=QoSReliabilityPolicy.RELIABLE)
        self._depth = self.create_publisher(Image, DEPTH_TOPIC, qos)
        self._info = self.create_publisher(CameraInfo, CAMERA_INFO_TOPIC, qos)
        self._camera_info = camera_info(camera)

    def wait_for_subscribers(self, count: int, patience: float) -> None:
        """Return once ``count`` subscriptions are matched with both topics.

        Raises:
            NobodyListens: not within ``patience`` seconds.
        """
        end = time.monotonic() + patience
        publishers = (self._depth, self._info)
        while any(publisher.get_subscription_count() < count for publisher in publishers):
            if time.monotonic() > end:
                raise NobodyListens(
                    f"waited {patience:g} s in vain for {count} subscriber(s) of {DEPTH_TOPIC} and "
                    f"{CAMERA_INFO_TOPIC}: is the node active, in this ROS_DOMAIN_ID?"
                )
            time.sleep(0.02)

    def wait_until_delivered(self) -> None:
        """Return once subscribers have all there is: an exit would take it back."""
        for publisher in (self._depth, self._info):
            publisher.wait_for_all_acked(Duration(seconds=_DELIVERY))
        time.sleep(_TAKEN)

    def publish(self, depth: NDArray[np.uint16]) -> None:
        """Send (H, W) uint16 millimetres, and its camera_info, stamped now."""
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=FRAME_ID)
        height, width = depth.shape
        image = Image(header=header, height=height, width=width, encoding="16UC1", step=2 * width)
        # An array is moved in at once; bytes would be taken over one by one.
        image.data = array.array("B", depth.astype("<u2", copy=False).tobytes())
        self._depth.publish(image)
        self._camera_info.header = header
        self._info.publish(self._camera_info)


def play(player: Player, source: DepthSource, options: Options) -> int:
    """Publish a source's frames at their pace; returns how many.

    Raises:
        SourceError: a frame cannot be read.
        NobodyListens: the subscribers did not come.
    """
    frame_bytes = source.camera.width * source.camera.height * 2
    frames = read_ahead(timetable(source, options), _AHEAD_BYTES // frame_bytes)
    if not options.loop:  # which has no beginning that somebody could miss
        player.wait_for_subscribers(options.subscribers, options.patience)
    count, start = 0, time.monotonic()
    for stamp, depth in frames:
        wait = start + stamp - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif wait < -_LATEST:
            start -= wait
        player.publish(depth)
        count += 1
    player.wait_until_delivered()
    return count


def timetable(source: DepthSource, options: Options) -> Iterator[DepthFrame]:
    """Frames with their stamps counted from 0, once or over and over, up to the duration."""
    begin = 0.0
    for frames in chain((source,), repeat(source) if options.loop else ()):
        first: float | None = None
        last = begin
        for stamp, depth in frames:
            first = stamp if first is None else first
            last = begin + stamp - first
            if options.duration is not None and last >= options.duration:
                return
            yield DepthFrame(last, depth)
        begin = last + _LOOP_PAUSE / source.fps


def camera_info(camera: Camera) -> CameraInfo:
    """The message of a rectified camera."""
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    return CameraInfo(
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def run(args: Sequence[str]) -> int:
    """Play until the end or Ctrl-C; the process's exit code.

    Args:
        args: the command line with the program's name, as in ``sys.argv``.
    """
    parsed = _parser().parse_args(remove_ros_args(list(args))[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        source = open_source(parsed.source, parsed.camera, parsed.topic)
        # Without rclpy's handlers, which shut the context down under a publisher at work.
        rclpy.init(args=list(args), signal_handler_options=SignalHandlerOptions.NO)
        options = Options(parsed.duration, parsed.loop, parsed.subscribers, parsed.patience)
        play(Player(source.camera), source, options)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (SourceError, NobodyListens) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a source; demo and player share them."""
    parser.add_argument(
        "--source", default=None, help="a bag, a folder of PNGs, a PNG or a .mat (else: our clip)"
    )
    parser.add_argument("--camera", type=Path, default=None, help="YAML file with the intrinsics")
    parser.add_argument("--topic", default=None, help="the depth topic, if the bag has several")
    parser.add_argument("--duration", type=seconds, default=None, help="seconds to play at most")


def seconds(text: str) -> float:
    """A positive number of seconds.

    Raises:
        argparse.ArgumentTypeError: anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, got {text!r}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Play a depth source as a Kinect v2 would.")
    add_source_arguments(parser)
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument("--subscribers", type=int, default=1, help="wait for so many")
    parser.add_argument("--patience", type=seconds, default=60.0, help="seconds to wait for them")
    return parser
