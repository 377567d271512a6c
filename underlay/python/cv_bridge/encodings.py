"""The encodings of ``sensor_msgs/image_encodings.hpp`` and conversions between them."""

import re
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class CvBridgeError(TypeError):
    """An unknown encoding or an invalid conversion."""


class Encoding(NamedTuple):
    """Data type, number of channels and color space (None if not a color) of a pixel."""

    dtype: np.dtype
    channels: int
    color: str | None


_DEPTHS = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}
_COLORS = {"mono": 1, "bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4}
_COLOR_CODE = {"mono": "GRAY", "bgr": "BGR", "rgb": "RGB", "bgra": "BGRA", "rgba": "RGBA"}


def parse(name: str) -> Encoding:
    """The encoding of a name.

    Raises:
        CvBridgeError: an unknown name.
    """
    if matched := re.fullmatch(r"(8U|8S|16U|16S|32S|32F|64F)C([1-4])", name):
        return Encoding(np.dtype(_DEPTHS[matched[1]]), int(matched[2]), None)
    if matched := re.fullmatch(r"(mono|bgra?|rgba?)(8|16)", name):
        return Encoding(np.dtype(f"uint{matched[2]}"), _COLORS[matched[1]], matched[1])
    if matched := re.fullmatch(r"bayer_(?:rggb|bggr|gbrg|grbg)(8|16)", name):
        return Encoding(np.dtype(f"uint{matched[1]}"), 1, None)
    raise CvBridgeError(f"Unrecognized image encoding [{name}]")


def name_of(image: Array) -> str:
    """The name of the encoding of an array (H, W) or (H, W, C) without color space.

    Raises:
        CvBridgeError: no encoding has this data type and number of channels.
    """
    channels = 1 if image.ndim < 3 else image.shape[2]
    for short, dtype in _DEPTHS.items():
        if image.dtype.newbyteorder("=") == dtype and 1 <= channels <= 4:
            return f"{short}C{channels}"
    raise CvBridgeError(f"no encoding has {channels} channels of {image.dtype}")


def convert(image: Array, source: str, target: str) -> Array:
    """Convert an image's encoding as ``cv_bridge`` does.

    Values of colors are scaled between 8 and 16 bits (255 becomes 65535); values without color
    space (16UC1 to 32FC1) are cast.

    Raises:
        CvBridgeError: an invalid conversion.
    """
    if source == target:
        return image
    have, want = parse(source), parse(target)
    if want.color is None or have.color is None:
        if have.color != want.color and have.color is None:
            raise CvBridgeError(
                f"[{source}] is not a color format, but [{target}] is: "
                "the conversion does not make sense"
            )
        if have.channels != want.channels:
            raise CvBridgeError(
                f"[{source}] and [{target}] do not have the same number of channels"
            )
        return image.astype(want.dtype)
    if have.dtype != want.dtype:
        scale = np.iinfo(want.dtype).max / np.iinfo(have.dtype).max
        image = np.rint(image * scale).astype(want.dtype)
    if have.color != want.color:
        code = f"COLOR_{_COLOR_CODE[have.color]}2{_COLOR_CODE[want.color]}"
        image = cv2.cvtColor(np.ascontiguousarray(image), getattr(cv2, code))
    return image
