"""RVL against an encoder and a decoder that go nibble by nibble, as Wilson's paper tells it."""

import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth_pose_ros.core.depth import DepthError
from depth_pose_ros.core.rvl import decode
from depth_pose_ros.demo.sources import open_source
from helpers.depth_encoding import encode_rvl, pack_numbers
from helpers.fuzzing import cases

WIDTH, HEIGHT = 64, 48


def naive(data: bytes, pixels: int) -> list[int]:
    """The image's pixels, one number after the other."""

    def numbers() -> Iterator[int]:
        value = shift = 0
        for (word,) in struct.iter_unpack("<I", data):
            for place in range(28, -4, -4):
                nibble = word >> place & 0xF
                value |= (nibble & 7) << shift
                shift += 3
                if nibble < 8:
                    yield value
                    value = shift = 0

    number, image, before = numbers(), [], 0
    while len(image) < pixels:
        image += [0] * next(number)
        for _ in range(next(number)):
            zigzag = next(number)
            before += -(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2
            image.append(before)
    return image


def room(holes: float) -> np.ndarray:
    """A wall with a body before it, noise, and pixels that measured nothing."""
    rng = np.random.default_rng(7)
    image = np.linspace(2500, 3500, WIDTH) + np.zeros((HEIGHT, 1))
    image[10:, 20:40] = 1800
    image += rng.normal(0, 6, image.shape)
    image[rng.random(image.shape) < holes] = 0
    image[:, 18:20] = 0  # the shadow beside the body
    return image.astype(np.uint16)


RNG = np.random.default_rng(5)
IMAGES = {
    "empty": np.zeros((HEIGHT, WIDTH), np.uint16),
    "flat": np.full((HEIGHT, WIDTH), 2000, np.uint16),
    "any": RNG.integers(0, 1 << 16, (HEIGHT, WIDTH)).astype(np.uint16),
    "sparse": (RNG.random((HEIGHT, WIDTH)) < 0.1).astype(np.uint16) * 65535,
    "chequered": (np.indices((HEIGHT, WIDTH)).sum(0) % 2 * 900).astype(np.uint16),
    "extremes": np.resize([1, 65535], (HEIGHT, WIDTH)).astype(np.uint16),
    "room": room(0.0),
    "room with holes": room(0.05),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_round_trip(kind):
    image = IMAGES[kind]
    data = encode_rvl(image)
    decoded = decode(data, image.size)
    assert decoded.dtype == np.uint16
    assert decoded.tolist() == naive(data, image.size)
    np.testing.assert_array_equal(decoded.reshape(image.shape), image)


def test_round_trip_of_a_camera_image():
    image = next(iter(open_source(None, None, None))).depth[::2, ::2]
    np.testing.assert_array_equal(decode(encode_rvl(image), image.size), image.ravel())


def test_an_image_written_by_hand():
    """0 0 1000 998 0: zigzags 2000 and 3, so the numbers are 2 2 2000 3 1 0."""
    # 2000 = 0b011_111_010_000: nibbles, lowest group first, 8 a f 3.
    data = struct.pack("<2I", 0x228AF331, 0x00000000)
    assert decode(data, 5).tolist() == [0, 0, 1000, 998, 0]
    assert pack_numbers([2, 2, 2000, 3, 1, 0]) == data


@cases(60)
@given(
    st.lists(st.one_of(st.just(0), st.integers(0, 65535), st.integers(990, 1010)), min_size=1),
    st.binary(max_size=9),
)
def test_any_image(pixels, rest):
    """And whatever follows it is ignored."""
    assert decode(encode_rvl(np.array(pixels, np.uint16)) + rest, len(pixels)).tolist() == pixels


@cases(60)
@given(st.binary(max_size=80), st.integers(1, 200))
def test_any_bytes(data, pixels):
    """An image that the naive decoder finds too, or a refusal."""
    try:
        image = decode(data, pixels)
    except DepthError as refusal:
        assert "RVL data are" in str(refusal)
    else:
        assert image.tolist() == naive(data[: len(data) // 4 * 4], pixels)


SIZE = WIDTH * HEIGHT
BAD = {
    "nothing": (b"", SIZE, "truncated"),
    "less than a word": (b"\x11\x11\x11", SIZE, "truncated"),
    "cut in its runs": (encode_rvl(IMAGES["room"])[:400], SIZE, "truncated"),
    "cut in its last run": (encode_rvl(IMAGES["flat"])[:-4], SIZE, "truncated"),
    "more pixels announced": (encode_rvl(IMAGES["room"]), 1 << 25, "an empty run|truncated"),
    "fewer pixels announced": (encode_rvl(IMAGES["flat"]), SIZE - 1, f"over {SIZE - 1} pixels"),
    "runs of nothing": (bytes(1 << 20), 1 << 25, "an empty run"),
    "an endless number": (b"\xff" * 4096, SIZE, "truncated"),
    "a long number": (pack_numbers([0, 2, 1 << 27, 2]), 2, "beyond 16 bits"),
    "a length of too many bits": (pack_numbers([1 << 27, 0, 0, 0]), SIZE, "an empty run"),
    "values above": (pack_numbers([0, 2, 2 * 65535, 2]), 2, "beyond 16 bits"),
    "values below": (pack_numbers([0, 2, 2 * 5, 9]), 2, "beyond 16 bits"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_are_refused_with_a_reason(kind):
    data, pixels, complaint = BAD[kind]
    with pytest.raises(DepthError, match=complaint):
        decode(data, pixels)
