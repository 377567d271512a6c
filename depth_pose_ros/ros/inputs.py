"""The node's inputs: depth images, raw or compressed, and the camera's calibration."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_pose_ros.core import compressed_depth
from depth_pose_ros.core.calibration import Calibration, calibrate, fingerprint
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.depth import DepthError, check_layout, to_metres
from depth_pose_ros.ros import log_messages

DEPTH_TOPIC, CAMERA_INFO_TOPIC = "depth/image", "depth/camera_info"
COMPRESSED = "compressedDepth"  #: image_transport's name of the transport, and the topic's suffix

DepthMessage: TypeAlias = Image | CompressedImage


class Inputs:
    """The subscriptions.

    Args:
        node: owner of the subscriptions.
        on_image: called with every depth message, in the executor's thread.

    Attributes:
        camera_info: the latest message, None before the first.
    """

    def __init__(self, node: Node, on_image: Callable[[DepthMessage], None]) -> None:
        self._node = node
        self._on_image = on_image
        self._subscriptions: list[Any] = []
        self.camera_info: CameraInfo | None = None

    def open(self, transport: str) -> None:
        """Subscribe.

        Args:
            transport: "raw" or :data:`COMPRESSED`, whose topic image_transport puts below the
                image's own, after remapping.
        """
        if transport == COMPRESSED:
            topic = f"{self._node.resolve_topic_name(DEPTH_TOPIC)}/{COMPRESSED}"
            self._subscribe(CompressedImage, topic, self._on_image)
        else:
            self._subscribe(Image, DEPTH_TOPIC, self._on_image)
        self._subscribe(CameraInfo, CAMERA_INFO_TOPIC, self._on_camera_info)

    def close(self) -> None:
        """Unsubscribe and discard the camera_info."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
        self.camera_info = None

    @property
    def topics(self) -> tuple[str, str]:
        """Resolved names of the depth and camera_info topics."""
        depth, info = (subscription.topic_name for subscription in self._subscriptions)
        return depth, info

    def missing(self, num_images: int, seconds: float) -> str:
        """A message that names the missing input, "" if none is missing.

        Args:
            num_images: number of images received so far.
            seconds: time since the last image.
        """
        depth, info = self.topics
        if num_images == 0:
            return log_messages.NO_IMAGE.format(
                topic=depth, seconds=seconds, publishers=self._node.count_publishers(depth)
            )
        if self.camera_info is None:
            return log_messages.NO_CAMERA_INFO.format(
                topic=info, publishers=self._node.count_publishers(info)
            )
        return ""

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        # REP-2003: sensor data is best effort; only the newest image matters.  Each subscription
        # has its own profile, because rclpy writes the overrides into the one it is given.
        self._subscriptions.append(
            self._node.create_subscription(
                kind,
                topic,
                callback,
                QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        )

    def _on_camera_info(self, info: CameraInfo) -> None:
        self.camera_info = info


class DepthReader:
    """Decodes and rectifies depth images; recomputes the calibration only when it changes.

    Args:
        rectified: whether the images are rectified; see :func:`calibration.calibrate`.
        on_calibration: called with every new calibration.
    """

    def __init__(self, rectified: bool, on_calibration: Callable[[Calibration], None]) -> None:
        self._rectified = rectified
        self._on_calibration = on_calibration
        self._bridge = CvBridge()
        self._calibration: Calibration | None = None
        self._fingerprint: tuple[object, ...] = ()

    def decode(self, message: DepthMessage) -> NDArray[np.float32]:
        """(H, W) float32 metres of a depth message, not yet rectified, 0 where invalid.

        Raises:
            DepthError: not a depth image, or an incomplete one.
        """
        if isinstance(message, CompressedImage):
            return compressed_depth.decode(message.format, message.data)
        check_layout(
            message.encoding, message.width, message.height, message.step, len(message.data)
        )
        try:
            array = self._bridge.imgmsg_to_cv2(message, desired_encoding="passthrough")
        except (CvBridgeError, TypeError, ValueError, AttributeError) as error:
            raise DepthError(log_messages.CV_BRIDGE_ERROR.format(error=error)) from error
        return to_metres(array, message.encoding)

    def rectify(
        self, depth: NDArray[np.float32], info: CameraInfo
    ) -> tuple[NDArray[np.float32], Camera]:
        """(H, W) metres as :meth:`decode` returns them -> the rectified image and its camera.

        Raises:
            CalibrationError: a camera_info that does not fit the image.
            CameraError: a camera_info without usable intrinsics.
        """
        height, width = depth.shape
        current = (*fingerprint(info), width, height)
        if self._calibration is None or current != self._fingerprint:
            self._calibration = calibrate(info, width, height, self._rectified)
            self._fingerprint = current
            self._on_calibration(self._calibration)
        return self._calibration.rectify(depth), self._calibration.camera
