"""Encoders of compressedDepth messages, independent of the package's decoders."""

import struct
import zlib

import numpy as np


def pack_numbers(numbers: list[int]) -> bytes:
    """Variable-length numbers as nibbles, eight per 32-bit word."""
    nibbles = []
    for number in numbers:
        while number > 7:
            nibbles.append(8 | number % 8)
            number //= 8
        nibbles.append(number)
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)
    ]
    return struct.pack(f"<{len(words)}I", *words)


def encode_rvl(image: np.ndarray) -> bytes:
    """(H, W) or (N,) uint16 -> RVL (Wilson 2017), without the size."""
    numbers, pixels, before = [], image.ravel().tolist(), 0
    while pixels:
        zeros = next((i for i, value in enumerate(pixels) if value), len(pixels))
        pixels = pixels[zeros:]
        values = pixels[: next((i for i, value in enumerate(pixels) if not value), len(pixels))]
        pixels = pixels[len(values) :]
        numbers += [zeros, len(values)]
        for value in values:
            difference = value - before
            numbers.append(2 * difference if difference >= 0 else -2 * difference - 1)
            before = value
    return pack_numbers(numbers)


def encode_png(pixels: np.ndarray, color_type: int = 0) -> bytes:
    """A PNG (ISO/IEC 15948) of 16-bit grey pixels, no filter, one IDAT chunk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


def _rvl_with_size(pixels: np.ndarray) -> bytes:
    height, width = pixels.shape
    return struct.pack("<II", width, height) + encode_rvl(pixels)


_ENCODERS = {"png": encode_png, "rvl": _rvl_with_size}


def compressed_depth(
    pixels: np.ndarray, a: float = 0.0, b: float = 0.0, code: str = "png"
) -> bytes:
    """(H, W) uint16 -> the data of a compressedDepth message; a and b: quantization of 32FC1."""
    return struct.pack("<iff", 0, a, b) + _ENCODERS[code](pixels)
