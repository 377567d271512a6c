"""A camera and a subscriber in one process: started by :mod:`benchmarks.node_load`.

``python -m benchmarks.camera_process seconds``: publishes the clip's frames at 30 Hz and prints, as
JSON, the number of frames and the latencies of their markers.  Messages are serialized in advance
and received serialized, so that this process uses no more CPU time than a camera driver.
"""

import json
import struct
import sys
import time
from itertools import islice
from typing import Any

import rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.demo.sources.clip import builtin_clip

RATE = 30.0
_FRAMES = 60  # of the clip, forwards and backwards, so that motion is continuous
_WAIT = 120.0  # seconds for the node's first markers
_STAMP = struct.Struct("<iI")
_STAMP_OFFSET = 4  # after the encapsulation header, in messages that begin with a Header
#: The number of markers, at the same offset; the first marker's header follows.
_COUNT = struct.Struct("<I")


class CameraProcess:
    """Publishes frames at a fixed rate."""

    def __init__(self) -> None:
        clip = builtin_clip()
        self._node = rclpy.create_node("bench_camera")
        self._messages = [self._image(frame.depth) for frame in islice(clip, _FRAMES)]
        camera = clip.camera
        info = CameraInfo(width=camera.width, height=camera.height)
        info.header.frame_id = "camera"
        info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
        self._info = bytearray(serialize_message(info))
        best_effort = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        self._images = self._node.create_publisher(Image, "depth/image", best_effort)
        self._infos = self._node.create_publisher(CameraInfo, "depth/camera_info", best_effort)
        self._node.create_subscription(
            MarkerArray,
            "depth_pose_node/markers",
            self._on_markers,
            QoSProfile(depth=10),
            raw=True,
        )
        self._number = 0
        self.sent: dict[int, float] = {}
        self.returned: dict[int, float] = {}
        self.first_skeleton = 0.0  # system time

    @staticmethod
    def _image(depth: Any) -> bytearray:
        height, width = depth.shape
        message = Image(height=height, width=width, encoding="16UC1", step=2 * width)
        message.header.frame_id = "camera"
        message.data.frombytes(depth.astype("<u2").tobytes())
        return bytearray(serialize_message(message))

    def _on_markers(self, message: bytes) -> None:
        now = time.monotonic()
        if not _COUNT.unpack_from(message, _STAMP_OFFSET)[0]:
            return
        if not self.first_skeleton:
            self.first_skeleton = time.time()
        _, number = _STAMP.unpack_from(message, _STAMP_OFFSET + _COUNT.size)
        self.returned.setdefault(number, now)

    def wait(self) -> None:
        """Publish until the node publishes its first person."""
        end = time.monotonic() + _WAIT
        while not self.first_skeleton and time.monotonic() < end:
            self._publish()
            self._spin_until(time.monotonic() + 1 / RATE)
        if not self.first_skeleton:
            raise SystemExit(f"the node published no person within {_WAIT:g} s")

    def load(self, seconds: float) -> None:
        """Publish at the camera's rate and record when markers arrive."""
        self.sent.clear()
        self.returned.clear()
        start = time.monotonic()
        for number in range(1, round(seconds * RATE) + 1):
            self._spin_until(start + number / RATE)
            now = time.monotonic()
            self.sent[self._publish()] = now
        self._spin_until(time.monotonic() + 1.0)

    def _publish(self) -> int:
        """Publish the next frame; returns its number, which is its stamp and that of markers."""
        self._number = number = self._number + 1
        index = number % (2 * _FRAMES)
        message = self._messages[min(index, 2 * _FRAMES - 1 - index)]
        _STAMP.pack_into(message, _STAMP_OFFSET, 1, number)
        _STAMP.pack_into(self._info, _STAMP_OFFSET, 1, number)
        self._infos.publish(bytes(self._info))
        self._images.publish(bytes(message))
        return number

    def _spin_until(self, end: float) -> None:
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self._node, timeout_sec=left)


def main() -> None:
    rclpy.init()
    process = CameraProcess()
    process.wait()
    print(json.dumps({"first_skeleton": process.first_skeleton}), flush=True)
    process.load(float(sys.argv[1]))
    latencies = [process.returned[n] - t for n, t in process.sent.items() if n in process.returned]
    print(json.dumps({"sent": len(process.sent), "latencies": latencies}), flush=True)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
