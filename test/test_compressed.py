"""compressedDepth, decoded from messages that an encoder of the test's own makes."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from depth_pose_ros.compressed import decode
from depth_pose_ros.depth import DepthError

WIDTH, HEIGHT = 64, 48


def png(pixels: np.ndarray, colour_type: int = 0) -> bytes:
    """A PNG (ISO/IEC 15948) of 16-bit grey pixels, written by hand: no filter, one IDAT."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


def message(pixels: np.ndarray, a: float = 0.0, b: float = 0.0) -> bytes:
    return struct.pack("<iff", 0, a, b) + png(pixels)


def quantised(metres: np.ndarray, quantisation: float = 100.0, farthest: float = 10.0) -> bytes:
    """32FC1, pixel by pixel as the format says: value = a / depth + b, 0 beyond the farthest."""
    a = quantisation * (quantisation + 1.0)
    b = 1.0 - a / farthest
    values = np.zeros(metres.shape, np.uint16)
    for index, depth in np.ndenumerate(metres):
        if depth < farthest:
            values[index] = int(a / depth + b)
    return message(values, a, b)


@pytest.fixture
def metres() -> np.ndarray:
    rng = np.random.default_rng(3)
    image = rng.uniform(0.5, 8.0, (HEIGHT, WIDTH)).astype(np.float32)
    image[:5] = np.nan
    return image


@pytest.mark.parametrize("ending", ["compressedDepth png", "compressedDepth"])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
def test_millimetres_come_back_as_they_were(metres, encoding, ending):
    pixels = np.nan_to_num(metres * 1000).astype(np.uint16)
    decoded = decode(f"{encoding}; {ending}", message(pixels))
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, pixels * np.float32(0.001), rtol=1e-6)
    assert not decoded[:5].any()


def test_metres_come_back_as_exactly_as_they_were_quantised(metres):
    decoded = decode("32FC1; compressedDepth png", quantised(metres))
    assert not decoded[:5].any(), "NaN is sent as 0 and means nothing was measured"
    # One step of 1 / depth is 1 / a, so of depth at most depth^2 / a.
    step = metres[5:] ** 2 / (100.0 * 101.0)
    assert (np.abs(decoded[5:] - metres[5:]) <= 1.01 * step).all()


def test_our_png_is_one():
    """Or the tests here would prove nothing."""
    pixels = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    read = cv2.imdecode(np.frombuffer(png(pixels), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, pixels)


PIXELS = np.full((HEIGHT, WIDTH), 2000, np.uint16)
GOOD = message(PIXELS)
EIGHT_BIT = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint8))[1].tobytes()
JPEG = cv2.imencode(".jpg", np.zeros((HEIGHT, WIDTH), np.uint8))[1].tobytes()
BAD = {
    "nothing": ("16UC1; compressedDepth png", b"", "truncated"),
    "header only": ("16UC1; compressedDepth png", GOOD[:12], "truncated"),
    "half a PNG": ("16UC1; compressedDepth png", GOOD[: len(GOOD) // 2], "damaged"),
    "a PNG's first bytes": ("16UC1; compressedDepth png", GOOD[:22], "not a PNG"),
    "no header": ("16UC1; compressedDepth png", png(PIXELS), "not a PNG"),
    "a JPEG": ("16UC1; compressedDepth png", GOOD[:12] + JPEG, "not a PNG"),
    "8 bits": ("16UC1; compressedDepth png", GOOD[:12] + EIGHT_BIT, "16-bit grey"),
    "RVL": ("16UC1; compressedDepth rvl", GOOD, "parameter format be png"),
    "colour's transport": ("16UC1; png compressed ", GOOD, "not compressed depth"),
    "colour": ("bgr8; jpeg compressed bgr8", GOOD, "not compressed depth"),
    "no format": ("", GOOD, "not compressed depth"),
    "tiny": ("16UC1; compressedDepth png", message(PIXELS[:3, :3]), "3 x 3 pixels"),
    "NaN quantisation": ("32FC1; compressedDepth png", message(PIXELS, np.nan), "quantisation"),
    "no quantisation": ("32FC1; compressedDepth png", GOOD, "quantisation"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_are_refused_with_a_reason(kind):
    format_, data, complaint = BAD[kind]
    with pytest.raises(DepthError, match=complaint):
        decode(format_, data)


def test_a_bomb_is_not_unpacked():
    """A PNG of a few bytes may claim to be of any size."""
    huge = bytearray(GOOD)
    huge[12 + 16 : 12 + 24] = struct.pack(">II", 60_000, 60_000)
    with pytest.raises(DepthError, match="60000 x 60000"):
        decode("16UC1; compressedDepth png", bytes(huge))


def test_quantisation_that_puts_values_behind_the_camera_gives_no_depth():
    decoded = decode("32FC1; compressedDepth png", message(PIXELS, a=100.0, b=3000.0))
    assert not decoded.any()
