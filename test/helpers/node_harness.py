"""Test harness for the real node over DDS: a camera, subscribers and a fake estimator."""

import threading
from typing import Any

import numpy as np
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.ros.node import DepthPoseNode
from helpers.poses import standing
from helpers.ros_fixtures import Ros

FRAME = "kinect2_ir_optical_frame"
#: Kinect v2's field of view in few pixels: an image fits into one datagram, so none is lost.
CAMERA = Camera(fx=91.0, fy=91.0, cx=64.0, cy=53.0, width=128, height=106)
WIDTH, HEIGHT = CAMERA.width, CAMERA.height


class FakeEstimator:
    """Returns preset poses and records its inputs."""

    def __init__(self) -> None:
        self.people = [standing()]
        self.calls: list[tuple[np.ndarray, Any]] = []
        self.threads: set[str] = set()
        self.failure: Exception | None = None
        self.unblocked = threading.Event()  # cleared: an inference lasts until it is set
        self.unblocked.set()

    def estimate(self, depth, camera):
        self.calls.append((depth, camera))
        self.threads.add(threading.current_thread().name)
        assert self.unblocked.wait(20.0)
        if self.failure is not None:
            raise self.failure
        return self.people


def camera_info(**fields: Any) -> CameraInfo:
    """As Kinect v2's: D is not zero although the image is rectified."""
    f, cx, cy = CAMERA.fx, CAMERA.cx, CAMERA.cy
    defaults = {
        "header": Header(frame_id=FRAME),
        "width": WIDTH,
        "height": HEIGHT,
        "distortion_model": "plumb_bob",
        "d": [0.09, -0.27, 0.0, 0.0, 0.1],
        "k": [f + 1, 0.0, cx, 0.0, f + 1, cy, 0.0, 0.0, 1.0],
        "p": [f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    }
    return CameraInfo(**{**defaults, **fields})


def depth_image(encoding: str = "16UC1", metres: float = 2.0, **fields: Any) -> Image:
    """An image of a wall at a distance; ``fields`` replace the correct ones."""
    if encoding == "32FC1":
        pixels = np.full((HEIGHT, WIDTH), metres, np.float32)
    else:
        pixels = np.full((HEIGHT, WIDTH), round(metres * 1000), np.uint16)
    message = Image(
        header=Header(frame_id=FRAME),
        width=WIDTH,
        height=HEIGHT,
        encoding=encoding,
        step=pixels.strides[0],
    )
    message.data.frombytes(pixels.tobytes())
    for name, value in fields.items():
        setattr(message, name, value)
    return message


class ObservedNode(DepthPoseNode):
    """The node; records the stamps of the frames it has processed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.handled: list[int] = []
        super().__init__(*args, **options)

    def _process(self, item: Any) -> None:
        super()._process(item)
        self.handled.append(item[0].header.stamp.sec)


class NodeHarness:
    """The node under test, its camera and its subscribers, all in one executor."""

    def __init__(
        self,
        ros: Ros,
        capfd: Any,
        start: bool = True,
        depth_topic: str = "/depth/image",
        **parameters: Any,
    ) -> None:
        self.ros = ros
        self.estimator = FakeEstimator()
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = ros.add(
            ObservedNode(
                lambda options: self.make_estimator(options),
                parameter_overrides=overrides,
                cli_args=["--ros-args", "-r", f"depth/image:={depth_topic}"],
            )
        )
        self.options: EstimatorOptions | None = None
        peer = self.peer = ros.node()
        self.depth = peer.create_publisher(Image, depth_topic, QoSProfile(depth=2))
        self.info = peer.create_publisher(CameraInfo, "depth/camera_info", QoSProfile(depth=2))
        self.clouds: list[PointCloud2] = []
        self.markers: list[MarkerArray] = []
        self.tf: list[TFMessage] = []
        self._capfd = capfd
        self._stderr = ""
        outputs = (
            (PointCloud2, "depth_pose_node/joints", self.clouds),
            (MarkerArray, "depth_pose_node/markers", self.markers),
            (TFMessage, "/tf", self.tf),
        )
        self._subscribers = [
            peer.create_subscription(kind, topic, received.append, QoSProfile(depth=10))
            for kind, topic, received in outputs
        ]
        self._stamp = 0
        if start:
            self.node.autostart()
            self.connect()

    def make_estimator(self, options: EstimatorOptions) -> FakeEstimator:
        """The estimator factory; tests may replace it."""
        self.options = options
        return self.estimator

    def connect(self) -> None:
        """Wait until the camera and the subscribers are matched with the active node."""
        self.match_camera()
        for topic in ("/depth_pose_node/joints", "/depth_pose_node/markers", "/tf"):
            self.ros.wait_for_publishers(self.peer, topic)
        for publisher in self.node.publishers:
            if publisher.topic_name.endswith(("/joints", "/markers", "/tf")):
                self.ros.wait_for_subscribers(publisher)

    def match_camera(self, depth: Any = None) -> None:
        """Wait until the node and the camera are matched, in both directions.

        ``depth``: the publisher of depth images, if it is not the harness's own.
        """
        for publisher in (depth or self.depth, self.info):
            topic = publisher.topic_name
            self.ros.spin_until(lambda t=topic: self._ends(t), f"the subscription of {topic}")
            self.ros.wait_for_match(publisher, self._ends(topic))

    def _ends(self, topic: str) -> list[Any]:
        return [s for s in self.node.subscriptions if s.topic_name == topic]

    def send(self, image: Image, info: CameraInfo | None = None) -> int:
        """Publish a camera_info and an image; returns the image's stamp, in seconds."""
        if info is not None:
            self.send_camera_info(info)
        self._stamp += 1
        image.header.stamp.sec = self._stamp
        self.depth.publish(image)
        return self._stamp

    def send_and_wait(self, image: Image, info: CameraInfo) -> None:
        """Publish both and wait until the node has processed the image."""
        stamp = self.send(image, info)
        self.ros.spin_until(lambda: self.node.handled[-1:] == [stamp], "the end of processing")

    def jump(self, stamp: int) -> None:
        """Publish images after ``stamp`` until the node takes them for another time."""
        self._stamp = stamp
        for _ in range(3):
            before = self.node._statistics.snapshot().num_outliers
            sent = self.send(depth_image(), camera_info())
            self.ros.spin_until(
                lambda b=before, s=sent: (
                    self.node._statistics.snapshot().num_outliers > b
                    or self.node.handled[-1:] == [s]
                ),
                "the image",
            )

    def send_camera_info(self, info: CameraInfo) -> None:
        """Publish a camera_info and wait until the node has received it."""
        known = self.node._inputs.camera_info
        self.info.publish(info)
        self.ros.spin_until(lambda: self.node._inputs.camera_info is not known, "the camera_info")

    def process(self, image: Image | None = None, info: CameraInfo | None = None) -> int:
        """Publish a valid frame and wait for all results."""
        stamp = self.send(image or depth_image(), info or camera_info())
        self.ros.spin_until(lambda: stamps(self.clouds)[-1:] == [stamp], "the cloud")
        self.ros.spin_until(lambda: len(self.markers) >= len(self.clouds), "the markers")
        if self.estimator.people and (image is None or image.header.frame_id):
            self.ros.spin_until(
                lambda: stamps([message.transforms[0] for message in self.tf])[-1:] == [stamp], "TF"
            )
        return stamp

    def unsubscribe(self) -> None:
        """Unsubscribe from all results."""
        while self._subscribers:
            self.peer.destroy_subscription(self._subscribers.pop())

    def log(self) -> str:
        """All that the node has logged so far."""
        self._stderr += self._capfd.readouterr().err
        return self._stderr

    def errors(self) -> list[str]:
        """The warnings and errors that the node has logged so far."""
        return [line for line in self.log().splitlines() if line.startswith(("[WARN", "[ERROR"))]

    def wait_for_error(self, text: str) -> None:
        """Spin until the node logs a warning or error that contains ``text``."""
        self.ros.spin_until(
            lambda: any(text in message for message in self.errors()), f"'{text}' in the log"
        )


def stamps(messages: list[Any]) -> list[int]:
    """The seconds in the headers."""
    return [message.header.stamp.sec for message in messages]
