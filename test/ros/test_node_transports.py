"""The node with compressed depth images."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from helpers.depth_encoding import compressed_depth
from helpers.node_harness import FRAME, HEIGHT, WIDTH, NodeHarness, camera_info, stamps


def test_compressed_depth_topic_is_below_that_of_the_image(ros, capfd):
    harness = NodeHarness(
        ros, capfd, start=False, depth_topic="/cam/depth/image", image_transport="compressedDepth"
    )
    harness.node.autostart()
    camera = harness.peer.create_publisher(CompressedImage, "/cam/depth/image/compressedDepth", 2)
    harness.match_camera(camera)
    cloud = next(p for p in harness.node.publishers if p.topic_name.endswith("/joints"))
    harness.ros.wait_for_subscribers(cloud)
    assert harness.depth.get_subscription_count() == 0
    harness.send_camera_info(camera_info())

    def publish(stamp: int, format_: str, data: bytes) -> None:
        header = Header(frame_id=FRAME)
        header.stamp.sec = stamp
        image = CompressedImage(header=header, format=format_)
        image.data.frombytes(data)
        camera.publish(image)
        harness.ros.spin_until(
            lambda: harness.node.handled[-1:] == [stamp], "the end of processing"
        )

    pixels = np.full((HEIGHT, WIDTH), 2000, np.uint16)
    for stamp in (1, 2):
        publish(stamp, "16UC1; compressedDepth png", b"invalid data that is not a PNG")
    publish(3, "16UC1; compressedDepth png", compressed_depth(pixels))
    np.testing.assert_allclose(harness.estimator.calls[-1][0], 2.0)
    harness.ros.spin_until(lambda: stamps(harness.clouds) == [3], "the cloud")
    (error,) = harness.errors()
    assert "not a PNG" in error


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_compressed_topic_with_16_bits(ros, capfd, extension):
    harness = NodeHarness(ros, capfd, start=False, image_transport="compressed", depth_scale=0.0005)
    harness.node.autostart()
    camera = harness.peer.create_publisher(CompressedImage, "/depth/image/compressed", 2)
    harness.match_camera(camera)
    harness.send_camera_info(camera_info())
    encoded, data = cv2.imencode(extension, np.full((HEIGHT, WIDTH), 5000, np.uint16))
    assert encoded
    image = CompressedImage(
        header=Header(frame_id=FRAME), format=f"16UC1; {extension[1:]} compressed "
    )
    image.header.stamp.sec = 1
    image.data.frombytes(data.tobytes())
    camera.publish(image)
    harness.ros.spin_until(lambda: harness.estimator.calls, "an inference")
    np.testing.assert_allclose(harness.estimator.calls[-1][0], 2.5)
