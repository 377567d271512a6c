"""compressedDepth, decoded from messages that an encoder of the test's own makes."""

import struct

import cv2
import numpy as np
import pytest

from depth_pose_ros.core.compressed_depth import decode
from depth_pose_ros.core.depth import DepthError
from helpers.depth_encoding import compressed_depth, encode_png

WIDTH, HEIGHT = 64, 48


def quantized(metres: np.ndarray, code: str) -> bytes:
    """32FC1, pixel by pixel as the format says: value = a / depth + b, 0 beyond the farthest."""
    quantization, farthest = 100.0, 10.0
    a = quantization * (quantization + 1.0)
    b = 1.0 - a / farthest
    values = np.zeros(metres.shape, np.uint16)
    for index, depth in np.ndenumerate(metres):
        if depth < farthest:
            values[index] = int(a / depth + b)
    return compressed_depth(values, a, b, code)


@pytest.fixture
def metres() -> np.ndarray:
    rng = np.random.default_rng(3)
    image = rng.uniform(0.5, 8.0, (HEIGHT, WIDTH)).astype(np.float32)
    image[:5] = np.nan
    return image


@pytest.mark.parametrize(
    ("format_", "code"),
    [
        ("16UC1; compressedDepth", "png"),
        ("16UC1; compressedDepth png", "png"),
        ("mono16; compressedDepth png", "png"),
        ("16UC1; compressedDepth rvl", "rvl"),
        ("16UC1;compressedDepth rvl", "rvl"),
    ],
)
def test_millimetres_round_trip(metres, format_, code):
    pixels = np.nan_to_num(metres * 1000).astype(np.uint16)
    decoded = decode(format_, compressed_depth(pixels, code=code))
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, pixels * np.float32(0.001), rtol=1e-6)
    assert not decoded[:5].any()


@pytest.mark.parametrize("code", ["png", "rvl"])
def test_metres_round_trip_within_quantization(metres, code):
    decoded = decode(f"32FC1; compressedDepth {code}", quantized(metres, code))
    assert not decoded[:5].any(), "NaN is sent as 0 and means nothing was measured"
    # One step of 1 / depth is 1 / a, so of depth at most depth^2 / a.
    step = metres[5:] ** 2 / (100.0 * 101.0)
    assert (np.abs(decoded[5:] - metres[5:]) <= 1.01 * step).all()


def test_png_round_trip():
    """The encoder of these tests writes valid files."""
    pixels = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    read = cv2.imdecode(np.frombuffer(encode_png(pixels), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, pixels)


def encoded(extension: str, pixels: np.ndarray) -> bytes:
    done, data = cv2.imencode(extension, pixels)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("format_", ["16UC1; png compressed ", "png", "16UC1; tiff compressed", ""])
@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_plain_16_bit_files_whatever_the_format_says(metres, format_, extension):
    pixels = np.nan_to_num(metres * 1000).astype(np.uint16)
    decoded = decode(format_, encoded(extension, pixels), 0.0005)
    np.testing.assert_allclose(decoded, pixels * np.float32(0.0005), rtol=1e-6)


def test_plain_tiff_of_metres(metres):
    decoded = decode("32FC1; tiff compressed", encoded(".tiff", metres), 0.0005)
    np.testing.assert_array_equal(decoded, np.nan_to_num(metres))


def test_depth_scale_holds_for_16_bits_only(metres):
    pixels = np.full((HEIGHT, WIDTH), 4000, np.uint16)
    for code in ("png", "rvl"):
        decoded = decode(
            f"16UC1; compressedDepth {code}", compressed_depth(pixels, code=code), 0.00025
        )
        np.testing.assert_allclose(decoded, 1.0)
    message = quantized(metres, "png")
    np.testing.assert_array_equal(
        decode("32FC1; compressedDepth png", message, 0.1),
        decode("32FC1; compressedDepth png", message),
    )


PIXELS = np.full((HEIGHT, WIDTH), 2000, np.uint16)
GOOD, GOOD_RVL = compressed_depth(PIXELS), compressed_depth(PIXELS, code="rvl")
EIGHT_BIT = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint8))[1].tobytes()
JPEG = cv2.imencode(".jpg", np.zeros((HEIGHT, WIDTH), np.uint8))[1].tobytes()
BAD = {
    "nothing": ("16UC1; compressedDepth png", b"", "truncated"),
    "header only": ("16UC1; compressedDepth png", GOOD[:12], "truncated"),
    "half a PNG": ("16UC1; compressedDepth png", GOOD[: len(GOOD) // 2], "damaged"),
    "a PNG's first bytes": ("16UC1; compressedDepth png", GOOD[:22], "not a PNG"),
    "no header": ("16UC1; compressedDepth png", encode_png(PIXELS), "not a PNG"),
    "a JPEG": ("16UC1; compressedDepth png", GOOD[:12] + JPEG, "not a PNG"),
    "8 bits": ("16UC1; compressedDepth png", GOOD[:12] + EIGHT_BIT, "16-bit grey"),
    "another code": ("16UC1; compressedDepth zstd", GOOD, "parameter format be png or rvl"),
    "a PNG called RVL": ("16UC1; compressedDepth rvl", GOOD, "damaged"),
    "RVL called PNG": ("16UC1; compressedDepth png", GOOD_RVL, "not a PNG"),
    "RVL's header only": ("16UC1; compressedDepth rvl", GOOD_RVL[:20], "truncated"),
    "half of RVL": ("16UC1; compressedDepth rvl", GOOD_RVL[: len(GOOD_RVL) // 2], "truncated"),
    "tiny RVL": (
        "16UC1; compressedDepth rvl",
        compressed_depth(PIXELS[:3, :3], code="rvl"),
        "3 x 3 pixels",
    ),
    "color's transport": ("16UC1; png compressed ", GOOD, "not compressed depth"),
    "color": ("bgr8; jpeg compressed bgr8", GOOD, "not compressed depth"),
    "no format": ("", GOOD, "not compressed depth"),
    "a plain JPEG": ("16UC1; jpeg compressed", JPEG, "JPEG has 8 bits"),
    "a plain PNG of 8 bits": ("mono8; png compressed", EIGHT_BIT, "16-bit grey"),
    "half a plain PNG": ("png", encode_png(PIXELS)[:60], "damaged"),
    "half a TIFF": ("tiff", encoded(".tiff", PIXELS)[:100], "damaged"),
    "a TIFF of color": (
        "tiff",
        encoded(".tiff", np.zeros((HEIGHT, WIDTH, 3), np.uint16)),
        "one channel",
    ),
    "a TIFF of 3 x 3": ("tiff", encoded(".tiff", PIXELS[:3, :3]), "3 x 3 pixels"),
    "a TIFF's first bytes": ("tiff", b"II*\0" + b"\xff" * 4, "damaged"),
    "tiny": ("16UC1; compressedDepth png", compressed_depth(PIXELS[:3, :3]), "3 x 3 pixels"),
    "NaN quantization": (
        "32FC1; compressedDepth png",
        compressed_depth(PIXELS, np.nan),
        "quantization",
    ),
    "no quantization": ("32FC1; compressedDepth png", GOOD, "quantization"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_are_refused_with_a_reason(kind):
    format_, data, complaint = BAD[kind]
    with pytest.raises(DepthError, match=complaint):
        decode(format_, data)


@pytest.mark.parametrize("code", ["png", "rvl"])
def test_oversized_payload_is_refused(code):
    """An image of a few bytes may claim to be of any size."""
    good, at, order = {"png": (GOOD, 12 + 16, ">"), "rvl": (GOOD_RVL, 12, "<")}[code]
    huge = bytearray(good)
    huge[at : at + 8] = struct.pack(f"{order}II", 60_000, 60_000)
    with pytest.raises(DepthError, match="60000 x 60000"):
        decode(f"16UC1; compressedDepth {code}", bytes(huge))


def test_quantization_that_puts_values_behind_the_camera_gives_no_depth():
    decoded = decode("32FC1; compressedDepth png", compressed_depth(PIXELS, a=100.0, b=3000.0))
    assert not decoded.any()
