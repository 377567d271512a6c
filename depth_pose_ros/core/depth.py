"""Units, validity and layout of depth images (REP-118): the one place that knows encodings.

Knows no ROS: it works on arrays and on the plain fields of an image message.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Smallest width and height, in pixels, in which a person could still be made out.
MIN_SIZE = 32

#: Encodings that carry depth: 16-bit millimetres (0 invalid), 32-bit metres (NaN, +-Inf invalid).
_DTYPES: dict[str, np.dtype[Any]] = {
    "16UC1": np.dtype("u2"),
    "mono16": np.dtype("u2"),
    "32FC1": np.dtype("f4"),
}
MILLIMETRE = 0.001  #: metres; the unit of 16-bit depth images by REP-118


class DepthError(ValueError):
    """The image cannot be read as a depth image; the message says why and what to do."""


def check_layout(encoding: str, width: int, height: int, step: int, num_bytes: int) -> None:
    """Check an image message's fields before anything reads its data.

    Args:
        encoding: as in ``sensor_msgs/image_encodings``.
        width, height: pixels.
        step: bytes from one row to the next; more than a row's pixels where rows are padded.
        num_bytes: length of the data.

    Raises:
        DepthError: an encoding that carries no depth, an empty or a tiny image, rows that do not
            fit into ``step``, or less data than ``height`` rows.
    """
    itemsize = _dtype(encoding).itemsize
    if width == 0 or height == 0:
        raise DepthError(f"the image is empty ({width} x {height} pixels): check the camera driver")
    if min(width, height) < MIN_SIZE:
        raise DepthError(
            f"an image of {width} x {height} pixels is too small to hold a person "
            f"(at least {MIN_SIZE} x {MIN_SIZE}): is this the depth topic?"
        )
    if step < width * itemsize or step % itemsize:
        raise DepthError(
            f"step is {step} bytes, but {width} pixels of {encoding} need a multiple of {itemsize} "
            f"that is at least {width * itemsize}: the driver fills the message wrongly"
        )
    if num_bytes < height * step:
        raise DepthError(
            f"the image is truncated: {num_bytes} bytes of data, "
            f"{height} rows of {step} bytes need {height * step}"
        )


def to_metres(
    image: NDArray[np.generic], encoding: str, depth_scale: float = MILLIMETRE
) -> NDArray[np.float32]:
    """A decoded depth image in the project's one form.

    Args:
        image: (H, W) or (H, W, 1), uint16 for 16UC1 and mono16, float32 for 32FC1; any byte order
            and memory layout.
        encoding: the message's encoding.
        depth_scale: metres per unit of 16-bit images; 32FC1 is in metres.

    Returns:
        (H, W) float32 metres, a new array; 0 where there is no measurement (0, NaN, +-Inf or a
        negative number in the input).

    Raises:
        DepthError: an encoding that carries no depth, or an array that does not match it.
    """
    dtype = _dtype(encoding)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 or image.dtype.newbyteorder("=") != dtype:
        raise DepthError(
            f"a {encoding} image must decode to (H, W) {dtype.name}, "
            f"got {image.shape} {image.dtype.name}"
        )
    metres = image.astype(np.float32)
    if dtype.kind == "u":
        metres *= np.float32(depth_scale)
    else:
        metres[~(np.isfinite(metres) & (metres > 0))] = 0
    return metres


def _dtype(encoding: str) -> np.dtype[Any]:
    try:
        return _DTYPES[encoding]
    except KeyError:
        raise DepthError(
            f"encoding '{encoding}' is not depth (expected {', '.join(_DTYPES)}): "
            "remap depth/image to a raw depth topic, not to color, infrared or a compressed one"
        ) from None
