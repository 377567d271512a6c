"""The node's inputs: depth images, raw or compressed, and the camera's calibration."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_pose_ros.core import compressed_depth
from depth_pose_ros.core.calibration import Calibration, calibrate, fingerprint
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.depth import MILLIMETRE, DepthError, check_layout, to_metres
from depth_pose_ros.ros import log_messages
from depth_pose_ros.ros.qos import overridable_qos

DEPTH_TOPIC, CAMERA_INFO_TOPIC = "depth/image", "depth/camera_info"
RAW = "raw"  #: the transport of plain images; the names of others are suffixes of their topics

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
        self._transport = RAW
        self._subscriptions: list[Any] = []
        self._latched: Any = None
        self.camera_info: CameraInfo | None = None

    def open(self, transport: str) -> None:
        """Subscribe.

        Args:
            transport: :data:`RAW`, or the name of another transport, whose topic image_transport
                puts below the image's own, after remapping.
        """
        self._transport = transport
        depth, info = self.topics
        self._subscribe(Image if transport == RAW else CompressedImage, depth, self._on_image)
        self._subscribe(CameraInfo, info, self._on_camera_info)

    def suspend(self) -> None:
        """Unsubscribe; the camera_info is kept, for a driver that publishes it once."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
        if self._latched is not None:
            self._node.destroy_subscription(self._latched)
            self._latched = None

    def close(self) -> None:
        """Unsubscribe and discard the camera_info."""
        self.suspend()
        self.camera_info = None

    @property
    def is_open(self) -> bool:
        """Whether the topics are subscribed to."""
        return bool(self._subscriptions)

    @property
    def topics(self) -> tuple[str, str]:
        """Resolved names of the depth and camera_info topics."""
        depth = self._node.resolve_topic_name(DEPTH_TOPIC)
        if self._transport != RAW:
            depth = f"{depth}/{self._transport}"
        return depth, self._node.resolve_topic_name(CAMERA_INFO_TOPIC)

    def find_latched_camera_info(self) -> None:
        """Subscribe to a camera_info that is published once, with durability transient local.

        A subscription of its own: a transient local one would not match other drivers, whose
        publishers would log a warning.  Call it from time to time while the inputs are open.
        """
        _, topic = self.topics
        latched = QoSDurabilityPolicy.TRANSIENT_LOCAL
        if self._latched is None and any(
            end.qos_profile.durability == latched
            for end in self._node.get_publishers_info_by_topic(topic)
        ):
            self._latched = self._node.create_subscription(
                CameraInfo, topic, self._on_camera_info, QoSProfile(depth=1, durability=latched)
            )

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
                qos_overriding_options=overridable_qos(),
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

    def decode(self, message: DepthMessage, depth_scale: float = MILLIMETRE) -> NDArray[np.float32]:
        """(H, W) float32 metres of a depth message, not yet rectified, 0 where invalid.

        Args:
            message: raw or compressed.
            depth_scale: metres per unit of an image of 16 bits.

        Raises:
            DepthError: not a depth image, or an incomplete one.
        """
        if isinstance(message, CompressedImage):
            return compressed_depth.decode(message.format, message.data, depth_scale)
        check_layout(
            message.encoding, message.width, message.height, message.step, len(message.data)
        )
        try:
            array = self._bridge.imgmsg_to_cv2(message, desired_encoding="passthrough")
        except (CvBridgeError, TypeError, ValueError, AttributeError) as error:
            raise DepthError(log_messages.CV_BRIDGE_ERROR.format(error=error)) from error
        return to_metres(array, message.encoding, depth_scale)

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
