"""The soak's camera: the demo's clip, over and over, with people who come and go.

python -m benchmarks.soak_camera <frames a second>
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

_CYCLE, _EMPTY = 20.0, 6.0  # seconds: after the clip's people the room is empty for a while


def main() -> None:
    """Publish until killed."""
    rate = float(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    source = open_source(None, None, None)
    frames = [frame.depth for frame in source]
    # What nobody stands in front of is the farthest that was ever seen there.
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
