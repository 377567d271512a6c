"""Depth images as image_transport's ``compressedDepth`` and ``compressed`` send them.

Knows no ROS.  ``compressed`` is a PNG or TIFF of 16 bits, or a TIFF of 32FC1, without a header.

Format of ``compressedDepth``: https://wiki.ros.org/compressed_depth_image_transport.  The message's
``format`` is ``"<encoding>; compressedDepth [png|rvl]"`` with the encoding of the image before
compression; its data are a header of twelve bytes (an int32 and two float32, a and b,
little-endian) and an image of 16 bits: a grey PNG, or width and height (two uint32, little-endian)
and RVL.  Of 16UC1 that is the image; of 32FC1 it holds a quantized inverse depth, metres being
a / (value - b), and 0 where nothing was measured.
"""

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import rvl
from depth_pose_ros.core.depth import MILLIMETRE, MIN_SIZE, DepthError, to_metres

_HEADER = struct.Struct("<iff")
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}  # the first bytes, and the byte order
_TIFF_SIZE_TAGS = (256, 257)  # ImageWidth, ImageLength
_PNG_SIZE = struct.Struct(">II")  # in IHDR, the first chunk of every PNG
_PNG_SIZE_AT = 16
_RVL_SIZE = struct.Struct("<II")
_MOST_PIXELS = 1 << 25  # more than any depth camera has, less than a bomb
_ENCODINGS = ("16UC1", "mono16", "32FC1")
_CODES = {"compressedDepth": "png", "compressedDepth png": "png", "compressedDepth rvl": "rvl"}


def decode(format_: str, data: Any, depth_scale: float = MILLIMETRE) -> NDArray[np.float32]:
    """A ``sensor_msgs/CompressedImage`` of depth -> (H, W) float32 metres, 0 where invalid.

    Args:
        format_, data: of the message.
        depth_scale: metres per unit of an image of 16 bits.

    Raises:
        DepthError: another format, a truncated message, or one that holds no depth.
    """
    raw = memoryview(data).cast("B")
    if "compressedDepth" not in format_:
        return _plain(format_, raw, depth_scale)
    encoding, code = _format(format_)
    if len(raw) <= _HEADER.size:
        raise DepthError(
            f"a compressedDepth message of {len(raw)} bytes is truncated: it holds no image"
        )
    _, a, b = _HEADER.unpack_from(raw)
    pixels = (_png if code == "png" else _rvl)(raw[_HEADER.size :])
    if encoding == "32FC1":
        return _inverse_depth(pixels, a, b)
    return to_metres(pixels, encoding, depth_scale)


def _format(format_: str) -> tuple[str, str]:
    """The encoding before compression, and png or rvl."""
    encoding, _, transport = (part.strip() for part in format_.partition(";"))
    if encoding not in _ENCODINGS or transport not in _CODES:
        raise DepthError(
            f"format '{format_[:60]}' is not compressed depth (expected '16UC1; compressedDepth "
            "png', '32FC1; compressedDepth rvl' or the like): subscribe to the compressedDepth "
            "topic of the depth image, and let its publisher's parameter format be png or rvl"
        )
    return encoding, _CODES[transport]


def _png(data: memoryview) -> NDArray[np.uint16]:
    """(H, W) of a 16-bit grey PNG."""
    if data[: len(_PNG)] != _PNG or len(data) < _PNG_SIZE_AT + _PNG_SIZE.size:
        raise DepthError("the data of a compressed image are not a PNG: the message is damaged")
    _check_size(*_PNG_SIZE.unpack_from(data, _PNG_SIZE_AT))
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DepthError(f"the PNG of a compressed image is damaged: {error}") from error
    if pixels is None:
        raise DepthError("the PNG of a compressed image is damaged")
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise DepthError(
            f"the PNG of a compressed image is {pixels.dtype.name} of shape "
            f"{pixels.shape}, depth is 16-bit grey: is this the depth topic?"
        )
    return np.asarray(pixels, dtype=np.uint16)


def _plain(format_: str, data: memoryview, depth_scale: float) -> NDArray[np.float32]:
    """(H, W) metres of a PNG or TIFF file."""
    if data[: len(_PNG)] == _PNG:
        return to_metres(_png(data), "16UC1", depth_scale)
    if bytes(data[:4]) not in _TIFF:
        raise DepthError(
            f"format '{format_[:60]}' is not compressed depth: a compressed depth image is a PNG "
            "or TIFF of 16 bits; set the format of its publisher to png or tiff (JPEG has 8 bits)"
        )
    _check_size(*_tiff_size(data))
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DepthError(f"the TIFF of a compressed image is damaged: {error}") from error
    if pixels is None:
        raise DepthError("the TIFF of a compressed image is damaged")
    encoding = {"uint16": "16UC1", "float32": "32FC1"}.get(pixels.dtype.name)
    if encoding is None or pixels.ndim != 2:
        raise DepthError(
            f"the TIFF of a compressed image is {pixels.dtype.name} of shape {pixels.shape}, depth "
            "has one channel of 16-bit integers or 32-bit floats: is this the depth topic?"
        )
    return to_metres(pixels, encoding, depth_scale)


def _tiff_size(data: memoryview) -> tuple[int, int]:
    """Width and height of a TIFF, from its first directory."""
    order = _TIFF[bytes(data[:4])]
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        size = {}
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", data, entry)
            if tag in _TIFF_SIZE_TAGS:
                (size[tag],) = struct.unpack_from(
                    order + ("H" if kind == 3 else "I"), data, entry + 8
                )
        width, height = (size[tag] for tag in _TIFF_SIZE_TAGS)
    except (struct.error, KeyError) as error:
        raise DepthError("the TIFF of a compressed image is damaged: it has no size") from error
    return width, height


def _rvl(data: memoryview) -> NDArray[np.uint16]:
    """(H, W)."""
    if len(data) <= _RVL_SIZE.size:
        raise DepthError("the RVL data in a compressedDepth message are truncated: no image")
    width, height = _RVL_SIZE.unpack_from(data)
    _check_size(width, height)
    return rvl.decode(data[_RVL_SIZE.size :], width * height).reshape(height, width)


def _check_size(width: int, height: int) -> None:
    """Before anything of that size is made."""
    if min(width, height) < MIN_SIZE or width * height > _MOST_PIXELS:
        raise DepthError(
            f"a compressed image of {width} x {height} pixels cannot be a depth camera's: "
            "the message is damaged, or this is not the depth topic"
        )


def _inverse_depth(pixels: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    if not (np.isfinite(a) and np.isfinite(b) and a > 0):
        raise DepthError(
            f"the quantization in a compressedDepth message is a = {a:g}, b = {b:g}: it is damaged"
        )
    difference = pixels.astype(np.float32) - np.float32(b)
    known = (pixels > 0) & (difference > 0)
    metres = np.zeros(pixels.shape, np.float32)
    with np.errstate(over="ignore"):  # to_metres drops what is not finite
        np.divide(np.float32(a), difference, out=metres, where=known)
    return to_metres(metres, "32FC1")
