"""The soak test's camera: the demo clip in a loop, with an empty room in between.

python -m benchmarks.soak_camera_process <frames per second>
"""

import signal
import sys
import time
from itertools import count

import numpy as np
import rclpy
from rclpy.signals import SignalHandlerOptions

from depth_pose_ros.demo.playback import Player
from depth_pose_ros.demo.sources import open_source

_CYCLE, _EMPTY = 20.0, 6.0  # seconds; the room is empty at the end of each cycle


def main() -> None:
    """Publish until killed."""
    rate = float(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    source = open_source(None, None, None)
    frames = [frame.depth for frame in source]
    # The background is each pixel's maximum depth.
    room = np.max(frames, axis=0)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    player = Player(source.camera)
    start = time.monotonic()
    for number in count():
        due = number / rate
        time.sleep(max(0.0, start + due - time.monotonic()))
        empty = due % _CYCLE > _CYCLE - _EMPTY
        player.publish(room if empty else frames[round(due * source.fps) % len(frames)])


if __name__ == "__main__":
    main()
