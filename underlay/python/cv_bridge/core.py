"""Image messages to arrays and back."""

import sys
from array import array
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from cv_bridge.encodings import Array, CvBridgeError, convert, name_of, parse


class CvBridge:
    """Converts between ROS image messages and OpenCV's arrays."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> Array:
        """An image message -> (H, W) or (H, W, C), in this machine's byte order.

        As in the real package, the array shares the memory of the message if no conversion is
        needed, and a step too short for the width gives a narrower image.

        Raises:
            CvBridgeError: an unknown encoding, or an invalid conversion.
            TypeError: (of NumPy) fewer bytes than height * step.
        """
        encoding = parse(img_msg.encoding)
        pixel = encoding.dtype.itemsize * encoding.channels
        columns = min(img_msg.width, img_msg.step // pixel)
        rows = np.ndarray((img_msg.height, img_msg.step), np.uint8, _buffer(img_msg.data))
        order = encoding.dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
        image: Array = np.ascontiguousarray(rows[:, : columns * pixel]).view(order)
        if encoding.channels > 1:
            image = image.reshape(img_msg.height, columns, encoding.channels)
        if not order.isnative:
            image = image.astype(encoding.dtype)
        if desired_encoding == "passthrough":
            return image
        return convert(image, img_msg.encoding, desired_encoding)

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> Array | None:
        """A PNG, TIFF, JPEG ... message -> (H, W) or (H, W, C).

        As in the real package: None if OpenCV cannot decode it; for any encoding but "passthrough"
        the image is read as bgr8.

        Raises:
            CvBridgeError: an invalid conversion.
            cv2.error: an empty message.
        """
        data = np.frombuffer(_buffer(cmprs_img_msg.data), dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if desired_encoding == "passthrough" or image is None:
            return image
        return convert(image, "bgr8", desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: Array, encoding: str = "passthrough", header: Any = None
    ) -> Image:
        """(H, W) or (H, W, C) -> an image message.

        Raises:
            CvBridgeError: an encoding of another type than the array's.
            TypeError: not an array.
        """
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        actual = name_of(cvim)
        if encoding != "passthrough" and parse(encoding)[:2] != parse(actual)[:2]:
            raise CvBridgeError(
                f"encoding specified as {encoding}, but image has incompatible type {actual}"
            )
        message = Image()
        if header is not None:
            message.header = header
        message.height, message.width = cvim.shape[:2]
        message.encoding = actual if encoding == "passthrough" else encoding
        big = cvim.dtype.byteorder == ">" or (
            cvim.dtype.byteorder == "=" and sys.byteorder == "big"
        )
        message.is_bigendian = int(big)
        message.step = cvim.nbytes // message.height if message.height else 0
        message.data = array("B", cvim.tobytes())
        return message

    def cv2_to_compressed_imgmsg(self, cvim: Array, dst_format: str = "jpg") -> CompressedImage:
        """(H, W) or (H, W, C) -> a compressed message, in any format that OpenCV writes.

        Raises:
            CvBridgeError: the format does not support such an image.
            TypeError: not an array.
        """
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        try:
            _, data = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as error:
            raise CvBridgeError(error) from error
        message = CompressedImage(format=dst_format)
        message.data = array("B", data.tobytes())
        return message


def _buffer(data: Any) -> Any:
    """A uint8[] field as a buffer, without a copy if possible."""
    return bytes(data) if isinstance(data, list) else data
