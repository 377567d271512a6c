"""Depth images as image_transport's ``compressedDepth`` sends them.  Knows no ROS.

Format: https://wiki.ros.org/compressed_depth_image_transport.  The message's ``format`` is
``"<encoding>; compressedDepth [png]"`` with the encoding of the image before compression; its data
are a header of twelve bytes (an int32 and two float32, a and b, little-endian) and a 16-bit grey
PNG.  Of 16UC1 the PNG is the image; of 32FC1 it holds a quantised inverse depth, metres being
a / (value - b), and 0 where nothing was measured.
"""

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.depth import MIN_SIZE, DepthError, to_metres

_HEADER = struct.Struct("<iff")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE = struct.Struct(">II")  # in IHDR, the first chunk of every PNG
_PNG_SIZE_AT = 16
_MOST_PIXELS = 1 << 25  # of a PNG: more than any depth camera has, less than a bomb
_ENCODINGS = ("16UC1", "mono16", "32FC1")


def decode(format_: str, data: Any) -> NDArray[np.float32]:
    """A ``sensor_msgs/CompressedImage`` of depth -> (H, W) float32 metres, 0 where invalid.

    Raises:
        DepthError: another format, a truncated message, or a PNG that holds no depth.
    """
    encoding = _encoding(format_)
    raw = memoryview(data).cast("B")
    if len(raw) <= _HEADER.size:
        raise DepthError(
            f"a compressedDepth message of {len(raw)} bytes is truncated: it holds no image"
        )
    _, a, b = _HEADER.unpack_from(raw)
    pixels = _png(raw[_HEADER.size :])
    if encoding == "32FC1":
        return _inverse_depth(pixels, a, b)
    return to_metres(pixels, encoding)


def _encoding(format_: str) -> str:
    encoding, _, transport = (part.strip() for part in format_.partition(";"))
    if encoding not in _ENCODINGS or transport not in ("compressedDepth", "compressedDepth png"):
        raise DepthError(
            f"format '{format_[:60]}' is not compressed depth (expected '16UC1; compressedDepth "
            "png' or '32FC1; compressedDepth png'): subscribe to the compressedDepth topic of the "
            "depth image, and let its publisher's parameter format be png"
        )
    return encoding


def _png(data: memoryview) -> NDArray[np.uint16]:
    """(H, W) of a 16-bit grey PNG."""
    if data[: len(_PNG)] != _PNG or len(data) < _PNG_SIZE_AT + _PNG_SIZE.size:
        raise DepthError("a compressedDepth message's data are not a PNG: it is damaged")
    width, height = _PNG_SIZE.unpack_from(data, _PNG_SIZE_AT)
    if min(width, height) < MIN_SIZE or width * height > _MOST_PIXELS:
        raise DepthError(
            f"a compressed image of {width} x {height} pixels cannot be a depth camera's: "
            "the message is damaged, or this is not the depth topic"
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DepthError(f"the PNG in a compressedDepth message is damaged: {error}") from error
    if pixels is None:
        raise DepthError("the PNG in a compressedDepth message is damaged")
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise DepthError(
            f"the PNG in a compressedDepth message is {pixels.dtype.name} of shape "
            f"{pixels.shape}, depth is 16-bit grey: is this the depth topic?"
        )
    return np.asarray(pixels, dtype=np.uint16)


def _inverse_depth(pixels: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    if not (np.isfinite(a) and np.isfinite(b) and a > 0):
        raise DepthError(
            f"the quantisation in a compressedDepth message is a = {a:g}, b = {b:g}: it is damaged"
        )
    difference = pixels.astype(np.float32) - np.float32(b)
    known = (pixels > 0) & (difference > 0)
    metres = np.zeros(pixels.shape, np.float32)
    with np.errstate(over="ignore"):  # to_metres drops what is not finite
        np.divide(np.float32(a), difference, out=metres, where=known)
    return to_metres(metres, "32FC1")
