"""The replacements of packages that PyPI lacks; with a distribution, its own packages."""

from array import array

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge, CvBridgeError
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from tf2_msgs.msg import TFMessage
from tf2_ros import (
    Buffer,
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    StaticTransformBroadcaster,
    TransformBroadcaster,
    TransformListener,
)

from helpers.ros_fixtures import Ros

SECOND = 10**9
#: Of tf2_msgs/msg/TFMessage in Jazzy, Kilted and Rolling: endpoints with other hashes never match.
TYPE_HASH = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"
HALF = float(np.sqrt(0.5))


def transform(
    parent: str,
    child: str,
    stamp: float = 0.0,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    turn: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0),
) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = parent, child
    message.header.stamp = Time(nanoseconds=round(stamp * SECOND)).to_msg()
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = at
    q.x, q.y, q.z, q.w = turn
    return message


def position(message: TransformStamped) -> list[float]:
    t = message.transform.translation
    return [t.x, t.y, t.z]


class TestTransforms:
    def test_list_is_published_as_one_message(self, ros: Ros) -> None:
        received: list[TFMessage] = []
        listener = ros.node("listener")
        listener.create_subscription(TFMessage, "/tf", received.append, 10)
        sender = TransformBroadcaster(ros.node("sender"))
        ros.wait_for_subscribers(sender.pub_tf)

        sender.sendTransform([transform("camera", "head_a", 1.5), transform("camera", "waist_a")])
        sender.sendTransform(transform("camera", "head_b", at=(0.25, -1.0, 2.0)))

        ros.spin_until(lambda: len(received) >= 2, "two messages on /tf")
        assert [t.child_frame_id for t in received[0].transforms] == ["head_a", "waist_a"]
        assert received[0].transforms[0].header.stamp.nanosec == SECOND // 2
        assert [position(t) for t in received[1].transforms] == [[0.25, -1.0, 2.0]]

    def test_leading_slashes_are_taken_from_publishers_but_refused_in_lookups(self) -> None:
        buffer = Buffer()
        buffer.set_transform_static(transform("/map", "/camera", at=(1.0, 2.0, 3.0)), "test")
        found = buffer.lookup_transform("map", "camera", Time())
        assert position(found) == [1.0, 2.0, 3.0]
        for names in (("/map", "camera"), ("map", "/camera"), ("", "camera")):
            with pytest.raises(InvalidArgumentException):
                buffer.lookup_transform(*names, Time())

    def test_message_type_is_that_of_the_distributions(self, ros: Ros) -> None:
        node = ros.node("sender")
        TransformBroadcaster(node)
        ros.wait_for_publishers(node, "/tf")
        (endpoint,) = node.get_publishers_info_by_topic("/tf")
        assert endpoint.topic_type == "tf2_msgs/msg/TFMessage"
        if hasattr(endpoint, "topic_type_hash"):  # not in Humble
            assert str(endpoint.topic_type_hash) == TYPE_HASH

    def test_late_subscribers_get_all_static_transforms(self, ros: Ros) -> None:
        sender = StaticTransformBroadcaster(ros.node("sender"))
        sender.sendTransform(transform("base", "camera"))
        sender.sendTransform([transform("camera", "optical")])

        received: list[TFMessage] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        ros.node("late").create_subscription(TFMessage, "/tf_static", received.append, latched)

        ros.spin_until(lambda: received, "the latched message on /tf_static")
        assert {t.child_frame_id for t in received[-1].transforms} == {"camera", "optical"}

    def test_listener_fills_the_buffer(self, ros: Ros) -> None:
        node = ros.node("both")
        buffer = Buffer()
        listener = TransformListener(buffer, node)
        moving, static = TransformBroadcaster(node), StaticTransformBroadcaster(node)
        ros.wait_for_subscribers(moving.pub_tf)
        static.sendTransform(transform("base", "camera", at=(0.0, 0.0, 1.0)))
        moving.sendTransform(transform("camera", "head_a", 3.0, at=(1.0, 0.0, 0.0)))

        ros.spin_until(lambda: buffer.can_transform("base", "head_a", Time()), "base <- head_a")
        result = buffer.lookup_transform("base", "head_a", Time())
        assert position(result) == [1.0, 0.0, 1.0]
        assert (result.header.frame_id, result.child_frame_id) == ("base", "head_a")
        assert result.header.stamp.sec == 3
        listener.unregister()


class TestBuffer:
    def filled(self) -> Buffer:
        """A camera that rotates by 90 degrees about z and moves 2 m along x, in 2 seconds."""
        buffer = Buffer()
        buffer.set_transform(transform("base", "camera", 10.0), "test")
        buffer.set_transform(
            transform("base", "camera", 12.0, (2.0, 0.0, 0.0), (0.0, 0.0, HALF, HALF)), "test"
        )
        buffer.set_transform_static(transform("camera", "lens", at=(1.0, 0.0, 0.0)), "test")
        return buffer

    @pytest.mark.parametrize(("stamp", "degrees"), [(10.0, 0.0), (11.0, 45.0), (12.0, 90.0)])
    def test_interpolates(self, stamp: float, degrees: float) -> None:
        result = self.filled().lookup_transform("base", "lens", Time(seconds=stamp))
        angle = np.radians(degrees)
        along = stamp - 10.0
        np.testing.assert_allclose(
            position(result), (along + np.cos(angle), np.sin(angle), 0.0), atol=1e-9
        )
        np.testing.assert_allclose(result.transform.rotation.z, np.sin(angle / 2), atol=1e-9)

    def test_clear_keeps_static_transforms(self) -> None:
        buffer = self.filled()
        buffer.clear()
        assert buffer.can_transform("camera", "lens", Time(seconds=50.0))
        assert not buffer.can_transform("base", "camera", Time())
        buffer.set_transform(transform("base", "camera", 1.0), "test")  # older than all others
        assert buffer.can_transform("base", "lens", Time(seconds=1.0))

    def test_inverts(self) -> None:
        result = self.filled().lookup_transform("lens", "base", Time(seconds=12.0))
        np.testing.assert_allclose(position(result), (-1.0, 2.0, 0.0), atol=1e-9)

    def test_time_zero_is_the_latest(self) -> None:
        result = self.filled().lookup_transform("base", "camera", Time())
        assert result.header.stamp.sec == 12

    def test_transform_between_siblings(self) -> None:
        buffer = self.filled()
        buffer.set_transform_static(transform("camera", "screw", at=(0.0, 1.0, 0.0)), "test")
        result = buffer.lookup_transform("screw", "lens", Time())
        np.testing.assert_allclose(position(result), (1.0, -1.0, 0.0), atol=1e-9)

    @pytest.mark.parametrize(
        ("target", "source", "stamp", "error"),
        [
            ("base", "lens", 9.0, ExtrapolationException),
            ("base", "lens", 13.0, ExtrapolationException),
            ("base", "nowhere", 11.0, LookupException),
            ("base", "island", 11.0, ConnectivityException),
        ],
    )
    def test_exceptions(
        self, target: str, source: str, stamp: float, error: type[Exception]
    ) -> None:
        buffer = self.filled()
        buffer.set_transform(transform("sea", "island", 11.0), "test")
        with pytest.raises(error):
            buffer.lookup_transform(target, source, Time(seconds=stamp))
        short = Duration(seconds=0.05)
        assert not buffer.can_transform(target, source, Time(seconds=stamp), short)

    def test_old_transforms_are_dropped(self) -> None:
        buffer = self.filled()
        for stamp in (
            21.0,
            21.5,
        ):  # the real buffer drops samples when it receives one
            buffer.set_transform(transform("base", "camera", stamp), "test")
        with pytest.raises(ExtrapolationException):
            buffer.lookup_transform("base", "camera", Time(seconds=10.0))
        buffer.lookup_transform("base", "camera", Time(seconds=12.0))


ENCODINGS = {
    "16UC1": (np.uint16, 1),
    "mono16": (np.uint16, 1),
    "32FC1": (np.float32, 1),
    "mono8": (np.uint8, 1),
    "8UC1": (np.uint8, 1),
    "bgr8": (np.uint8, 3),
    "rgb8": (np.uint8, 3),
}


def random_image(encoding: str, height: int = 5, width: int = 7) -> np.ndarray:
    dtype, channels = ENCODINGS[encoding]
    shape = (height, width) if channels == 1 else (height, width, channels)
    values = np.random.default_rng(0).integers(0, 2**16, shape)
    return (values / 7.0 if dtype == np.float32 else values).astype(dtype)


def message_of(image: np.ndarray, encoding: str, padding: int, big: bool) -> Image:
    """The message of a driver with padded rows and this byte order."""
    pixels = image.astype(image.dtype.newbyteorder(">" if big else "<"))
    rows = [row.tobytes() + b"\xaa" * padding for row in pixels]
    message = Image(height=image.shape[0], width=image.shape[1], encoding=encoding)
    message.step, message.is_bigendian = len(rows[0]), int(big)
    message.data = array("B", b"".join(rows))
    return message


class TestCvBridge:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_round_trip(self, encoding: str) -> None:
        image = random_image(encoding)
        message = CvBridge().cv2_to_imgmsg(image, encoding)
        assert (message.height, message.width, message.encoding) == (5, 7, encoding)
        assert message.step * message.height == len(message.data)
        assert isinstance(message.data, array)
        back = CvBridge().imgmsg_to_cv2(message)
        np.testing.assert_array_equal(back, image)
        assert back.dtype == image.dtype

    @pytest.mark.parametrize("big", [False, True])
    @pytest.mark.parametrize("pad", [0, 12])
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_padded_rows_and_byte_order(self, encoding: str, pad: int, big: bool) -> None:
        image = random_image(encoding)
        back = CvBridge().imgmsg_to_cv2(message_of(image, encoding, pad, big))
        np.testing.assert_array_equal(back, image)
        assert back.dtype == image.dtype
        assert back.flags.c_contiguous

    def test_passthrough_encoding(self) -> None:
        assert CvBridge().cv2_to_imgmsg(random_image("bgr8")).encoding == "8UC3"
        assert CvBridge().cv2_to_imgmsg(random_image("32FC1")).encoding == "32FC1"

    def test_encodings_without_color_are_cast(self) -> None:
        image = random_image("16UC1")
        message = CvBridge().cv2_to_imgmsg(image, "16UC1")
        np.testing.assert_array_equal(
            CvBridge().imgmsg_to_cv2(message, "32FC1"), image.astype(np.float32)
        )

    def test_color_conversion(self) -> None:
        image = random_image("rgb8")
        message = CvBridge().cv2_to_imgmsg(image, "rgb8")
        np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(message, "bgr8"), image[..., ::-1])
        white = CvBridge().cv2_to_imgmsg(np.full((2, 3), 255, np.uint8), "mono8")
        assert (CvBridge().imgmsg_to_cv2(white, "mono16") == 65535).all()

    @pytest.mark.parametrize(
        ("encoding", "desired"),
        [("teapot", "passthrough"), ("16UC1", "bgr8"), ("bgr8", "16UC1"), ("16UC1", "teapot")],
    )
    def test_invalid_conversion_is_an_error(self, encoding: str, desired: str) -> None:
        image = random_image("bgr8" if encoding == "bgr8" else "16UC1")
        message = message_of(image, encoding, 0, False)
        with pytest.raises(CvBridgeError):
            CvBridge().imgmsg_to_cv2(message, desired)

    def test_encoding_of_another_type_is_an_error(self) -> None:
        with pytest.raises(CvBridgeError):
            CvBridge().cv2_to_imgmsg(random_image("16UC1"), "32FC1")

    def test_truncated_message_is_a_type_error(self) -> None:
        message = message_of(random_image("16UC1"), "16UC1", 0, False)
        message.data = message.data[:-3]
        with pytest.raises(TypeError):
            CvBridge().imgmsg_to_cv2(message)

    @pytest.mark.parametrize("file_format", ["png", "tiff"])
    def test_compressed_depth_is_lossless(self, file_format: str) -> None:
        image = random_image("16UC1")
        message = CvBridge().cv2_to_compressed_imgmsg(image, file_format)
        assert message.format == file_format
        np.testing.assert_array_equal(CvBridge().compressed_imgmsg_to_cv2(message), image)

    def test_compressed_color_is_bgr(self) -> None:
        image = random_image("bgr8")
        message = CvBridge().cv2_to_compressed_imgmsg(image, "png")
        np.testing.assert_array_equal(
            CvBridge().compressed_imgmsg_to_cv2(message, "rgb8"), image[..., ::-1]
        )

    def test_invalid_compressed_image_is_none(self) -> None:
        message = CompressedImage(format="png", data=array("B", b"not an image"))
        assert CvBridge().compressed_imgmsg_to_cv2(message) is None
        with pytest.raises(cv2.error):
            CvBridge().compressed_imgmsg_to_cv2(CompressedImage(format="png"))

    def test_image_over_dds(self, ros: Ros) -> None:
        image = random_image("16UC1", 424, 512)
        received: list[Image] = []
        ros.node("listener").create_subscription(Image, "depth", received.append, 1)
        publisher = ros.node("camera").create_publisher(Image, "depth", 1)
        ros.wait_for_subscribers(publisher)
        publisher.publish(CvBridge().cv2_to_imgmsg(image, "16UC1"))
        ros.spin_until(lambda: received, "an image")
        np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(received[0]), image)
