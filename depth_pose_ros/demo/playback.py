"""Publishes a depth source on the topics of a Kinect v2 driver."""

import argparse
import array
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from queue import Queue
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
from depth_pose_ros.demo.sources import open_source
from depth_pose_ros.demo.sources.base import DepthFrame, DepthSource, SourceError

DEPTH_TOPIC = "/kinect2/sd/image_depth_rect"
CAMERA_INFO_TOPIC = "/kinect2/sd/camera_info"
FRAME_ID = "kinect2_ir_optical_frame"

#: Seconds.  After a longer delay the schedule is shifted instead of publishing frames faster than
#: they were recorded.
_MAX_DELAY = 0.5
_AHEAD_BYTES = 80_000_000  # limit of the frames read ahead: holds the built-in clip
_DELIVERY = 2.0  # seconds to wait for acknowledgements
_BEST_EFFORT_DELIVERY = 0.2  # seconds for best-effort subscribers, which send no acknowledgement
#: Frame periods between the last frame and the first frame of the next loop.
_LOOP_PAUSE = 1.0


class NoSubscribers(Exception):
    """The expected subscribers were not discovered in time."""


class PlaybackOptions(NamedTuple):
    """Playback options.

    Attributes:
        duration: seconds of the source to play at most; None for all of it.
        loop: repeat the source without end.
        subscribers: number of subscriptions to wait for before the first frame; not used with
            ``loop``.
        timeout: seconds to wait for the subscriptions.
    """

    duration: float | None = None
    loop: bool = False
    subscribers: int = 1
    timeout: float = 60.0


class Player(Node):
    """Publishes depth images and their camera_info, stamped with the time of publication."""

    def __init__(self, camera: Camera, **options: Any) -> None:
        super().__init__("kinect2_player", **options)
        # The QoS of kinect2_bridge.
        qos = QoSProfile(depth=2, reliability=QoSReliabilityPolicy.RELIABLE)
        self._depth = self.create_publisher(Image, DEPTH_TOPIC, qos)
        self._info = self.create_publisher(CameraInfo, CAMERA_INFO_TOPIC, qos)
        self._camera_info = camera_info(camera)

    def wait_for_subscribers(self, count: int, timeout: float) -> None:
        """Wait until both topics have ``count`` subscriptions.

        Raises:
            NoSubscribers: after ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        publishers = (self._depth, self._info)
        while any(publisher.get_subscription_count() < count for publisher in publishers):
            if time.monotonic() > end:
                raise NoSubscribers(
                    f"timeout of {timeout:g} s: fewer than {count} subscriber(s) of "
                    f"{DEPTH_TOPIC} and {CAMERA_INFO_TOPIC}. "
                    "Check that the node is active in this ROS_DOMAIN_ID"
                )
            time.sleep(0.02)

    def wait_until_delivered(self) -> None:
        """Wait until the subscribers have received all messages; an earlier exit loses them."""
        for publisher in (self._depth, self._info):
            publisher.wait_for_all_acked(Duration(seconds=_DELIVERY))
        time.sleep(_BEST_EFFORT_DELIVERY)

    def publish(self, depth: NDArray[np.uint16]) -> None:
        """Publish (H, W) uint16 millimetres and camera_info with the current time."""
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=FRAME_ID)
        height, width = depth.shape
        image = Image(header=header, height=height, width=width, encoding="16UC1", step=2 * width)
        # rclpy copies an array.array at once, but bytes element by element.
        image.data = array.array("B", depth.astype("<u2", copy=False).tobytes())
        self._depth.publish(image)
        self._camera_info.header = header
        self._info.publish(self._camera_info)


def play(player: Player, source: DepthSource, options: PlaybackOptions) -> int:
    """Publish a source's frames at their recorded rate; returns the number of frames.

    Raises:
        SourceError: a frame cannot be read.
        NoSubscribers: the expected subscribers were not discovered in time.
    """
    frame_bytes = source.camera.width * source.camera.height * 2
    frames = read_ahead(schedule(source, options), _AHEAD_BYTES // frame_bytes)
    if not options.loop:
        player.wait_for_subscribers(options.subscribers, options.timeout)
    count, start = 0, time.monotonic()
    for stamp, depth in frames:
        wait = start + stamp - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif wait < -_MAX_DELAY:
            start -= wait
        player.publish(depth)
        count += 1
    player.wait_until_delivered()
    return count


def schedule(source: DepthSource, options: PlaybackOptions) -> Iterator[DepthFrame]:
    """Yield frames with stamps that start at 0, once or in a loop, up to the duration."""
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


class _End(NamedTuple):
    """Marks the end of the frames; ``error`` is set if reading failed."""

    error: Exception | None


def read_ahead(frames: Iterable[DepthFrame], limit: int) -> Iterator[DepthFrame]:
    """Read frames in a background thread, up to ``limit`` frames ahead.

    Reading starts at once, while the node is loading, so that decoding takes less CPU time from the
    running node.

    Raises:
        SourceError: reading failed; raised after the frames read before.
    """
    queue: Queue[DepthFrame | _End] = Queue(max(limit, 1))
    threading.Thread(target=_fill, args=(queue, frames), name="read ahead", daemon=True).start()
    return _drain(queue)


def _fill(queue: "Queue[DepthFrame | _End]", frames: Iterable[DepthFrame]) -> None:
    try:
        for frame in frames:
            queue.put(frame)
    except Exception as error:  # raised again in the consumer
        queue.put(_End(error))
    else:
        queue.put(_End(None))


def _drain(queue: "Queue[DepthFrame | _End]") -> Iterator[DepthFrame]:
    while not isinstance(item := queue.get(), _End):
        yield item
    if item.error is not None:
        raise item.error


def camera_info(camera: Camera) -> CameraInfo:
    """Make the CameraInfo message of a rectified camera."""
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
    """Play until the end or Ctrl-C; returns the exit code.

    Args:
        args: the command line with the program's name, as in ``sys.argv``.
    """
    parsed = _parser().parse_args(remove_ros_args(list(args))[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        source = open_source(parsed.source, parsed.camera, parsed.topic)
        # rclpy's signal handlers would shut down the context while a message is published.
        rclpy.init(args=list(args), signal_handler_options=SignalHandlerOptions.NO)
        options = PlaybackOptions(parsed.duration, parsed.loop, parsed.subscribers, parsed.timeout)
        play(Player(source.camera), source, options)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (SourceError, NoSubscribers) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select a source, shared by demo and player."""
    parser.add_argument(
        "--source",
        default=None,
        help="bag, folder of PNGs, PNG, .mat or .bin (default: a clip)",
    )
    parser.add_argument("--camera", type=Path, default=None, help="YAML file of the intrinsics")
    parser.add_argument("--topic", default=None, help="depth topic of a bag with several")
    parser.add_argument("--duration", type=seconds, default=None, help="maximum seconds to play")


def seconds(text: str) -> float:
    """Parse a positive number of seconds.

    Raises:
        argparse.ArgumentTypeError: the text is not a positive finite number.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, got {text!r}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Publish a depth source like a Kinect v2.")
    add_source_arguments(parser)
    parser.add_argument("--loop", action="store_true", help="repeat the source")
    parser.add_argument("--subscribers", type=int, default=1, help="subscribers to wait for")
    parser.add_argument("--timeout", type=seconds, default=60.0, help="seconds to wait for them")
    return parser
