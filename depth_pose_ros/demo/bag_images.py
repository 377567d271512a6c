"""Depth images out of a bag's messages.

rosbags-image would read them too, but it ignores row padding (``step``) and reduces compressed
images to 8 bits, which ends a depth image.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import compressed_depth
from depth_pose_ros.core.depth import DepthError, check_layout, to_metres


def decode(message: Any) -> NDArray[np.float32]:
    """A sensor_msgs Image or CompressedImage -> (H, W) float32 metres, 0 where missing.

    Raises:
        DepthError: another encoding, or fewer bytes than the header announces.
    """
    return _decode_compressed(message) if hasattr(message, "format") else _decode_raw(message)


def _decode_raw(message: Any) -> NDArray[np.float32]:
    height, width, step = int(message.height), int(message.width), int(message.step)
    check_layout(message.encoding, width, height, step, len(message.data))
    dtype = np.dtype("f4" if message.encoding == "32FC1" else "u2")
    dtype = dtype.newbyteorder(">" if message.is_bigendian else "<")
    image: NDArray[Any] = np.ndarray(
        (height, width), dtype, buffer=message.data, strides=(step, dtype.itemsize)
    )
    return to_metres(image, message.encoding)


def _decode_compressed(message: Any) -> NDArray[np.float32]:
    if "compressedDepth" in message.format:
        return compressed_depth.decode(message.format, message.data)
    data = np.frombuffer(message.data, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise DepthError(f"its {message.format!r} images are not one 16-bit channel")
    return to_metres(image, "16UC1")
