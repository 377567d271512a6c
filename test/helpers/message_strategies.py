"""Hypothesis strategies for the node's input messages: valid ones with some fields changed."""

import struct

import numpy as np
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from helpers.depth_encoding import compressed_depth

WIDTH, HEIGHT = 48, 36
UINT32 = st.integers(0, 2**32 - 1)
SIZES = st.one_of(st.integers(0, 80), st.sampled_from([0, 1, 31, 32, WIDTH, HEIGHT]), UINT32)
ENCODINGS = st.one_of(
    st.sampled_from(
        ["16UC1", "mono16", "32FC1", "8UC1", "mono8", "rgb8", "64FC1", "16SC1", "16UC3", "32FC2"]
    ),
    st.text(max_size=12),
)
NUMBERS = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, 1.0, -1.0, 365.0, 1e-300, 1e300, np.nan, np.inf, -np.inf]),
)


def ros_string(characters: str) -> str:
    """Replace what a ROS string cannot contain."""
    return characters.encode("utf-8", "replace").decode().replace("\0", "")


@st.composite
def images(draw) -> Image:
    """A valid image with some of its fields replaced."""
    encoding = draw(st.sampled_from(["16UC1", "mono16", "32FC1"]))
    size = 2 if encoding != "32FC1" else 4
    message = Image(width=WIDTH, height=HEIGHT, encoding=encoding, step=WIDTH * size)
    content = draw(st.one_of(st.binary(max_size=64), st.just(b"\x00\x00\xc0\x7f\xd0\x07")))
    repeated = (content or b"\0") * (WIDTH * HEIGHT * size // max(1, len(content)) + 1)
    message.data.frombytes(repeated[: WIDTH * HEIGHT * size])
    faults = draw(st.sets(st.sampled_from(["width", "height", "step", "encoding", "data", "big"])))
    if "width" in faults:
        message.width = draw(SIZES)
    if "height" in faults:
        message.height = draw(SIZES)
    if "step" in faults:
        message.step = draw(st.one_of(SIZES, st.integers(WIDTH, 8 * WIDTH)))
    if "encoding" in faults:
        message.encoding = ros_string(draw(ENCODINGS))
    if "data" in faults:
        message.data = message.data[: draw(st.integers(0, len(message.data)))]
    if "big" in faults:
        message.is_bigendian = draw(st.integers(0, 255))
    return message


@st.composite
def compressed_images(draw) -> CompressedImage:
    """A valid compressedDepth message with bytes changed or removed, or random bytes."""
    seed, a, b = draw(st.integers(0, 9)), draw(NUMBERS), draw(NUMBERS)
    pixels = np.random.default_rng(seed).integers(0, 9000, (HEIGHT, WIDTH)).astype(np.uint16)
    code = draw(st.sampled_from(["png", "rvl"]))
    with np.errstate(over="ignore"):
        data = bytearray(compressed_depth(pixels, float(np.float32(a)), float(np.float32(b)), code))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    if draw(st.integers(0, 9)) == 0:
        data = bytearray(draw(st.binary(max_size=200)))
    if draw(st.integers(0, 9)) == 0 and len(data) >= 36:
        at, byte_order = (28, ">") if code == "png" else (12, "<")
        data[at : at + 8] = struct.pack(f"{byte_order}II", draw(UINT32), draw(UINT32))
    names = [f"{encoding}; compressedDepth {code}" for encoding in ("16UC1", "32FC1")]
    message = CompressedImage(format=ros_string(draw(st.one_of(st.sampled_from(names), st.text()))))
    message.data.frombytes(bytes(data))
    return message


@st.composite
def camera_infos(draw) -> CameraInfo:
    """A valid camera_info with some of its fields replaced."""
    f = draw(st.sampled_from([20.0, 365.0, 1e-3, 1e6]))
    message = CameraInfo(
        width=WIDTH,
        height=HEIGHT,
        distortion_model=draw(
            st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "", "other"])
        ),
        k=[f, 0.0, 24.0, 0.0, f, 18.0, 0.0, 0.0, 1.0],
        p=[f, 0.0, 24.0, 0.0, 0.0, f, 18.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
    faults = draw(st.sets(st.sampled_from(["k", "p", "d", "size", "binning", "roi"])))
    if "k" in faults:
        message.k = draw(st.lists(NUMBERS, min_size=9, max_size=9))
    if "p" in faults:
        message.p = draw(st.lists(NUMBERS, min_size=12, max_size=12))
    if "d" in faults:
        length = draw(st.sampled_from([0, 1, 4, 5, 8, 12, 14, 20]))
        message.d = draw(st.lists(NUMBERS, min_size=length, max_size=length))
    if "size" in faults:
        message.width, message.height = draw(SIZES), draw(SIZES)
    if "binning" in faults:
        message.binning_x, message.binning_y = draw(SIZES), draw(SIZES)
    if "roi" in faults:
        message.roi = RegionOfInterest(
            x_offset=draw(SIZES), y_offset=draw(SIZES), width=draw(SIZES), height=draw(SIZES)
        )
    return message
