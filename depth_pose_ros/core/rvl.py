"""RVL, a code for depth images: Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

The pixels, row after row, are runs: how many are 0, how many are not, and the values of those that
are not, each as its difference from the one before (zeros left out; the first from 0), zigzag-coded
(0, -1, 1, -2, ... are 0, 1, 2, 3, ...).  Every number is cut into groups of three bits, the lowest
first, each group a nibble whose top bit says that another follows.  Nibbles fill 32-bit words,
little-endian, from the top.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.depth import DepthError

_WORD = 4  # bytes
_LAST = 8  # nibbles below this end a number
_MOST_NIBBLES = 9  # of a number, 27 bits: more than an image has pixels, or a pixel has values


def decode(data: Any, pixels: int) -> NDArray[np.uint16]:
    """The pixels of an image.

    Args:
        data: bytes-like; what follows the image's last word is ignored.
        pixels: how many the image has; nothing of their size is made before the data have proved
            to hold so many.

    Returns:
        (pixels,) uint16.

    Raises:
        DepthError: the data end before the image does, or cannot have come out of an encoder.
    """
    # A pixel and the two lengths of a run take 3 bytes and 1 at the very most.
    words = min(len(data) // _WORD, pixels + 2)
    numbers, nibbles = _numbers(np.frombuffer(data, "<u4", words))
    runs, end = _runs(numbers, pixels)
    is_value = np.ones(end, dtype=bool)
    is_value[runs] = is_value[runs + 1] = False
    zigzag = numbers[:end][is_value]
    values = np.cumsum((zigzag >> 1) ^ -(zigzag & 1), dtype=np.int64)
    limits = np.iinfo(np.uint16)
    if nibbles[:end].max() > _MOST_NIBBLES or not np.all((values > 0) & (values <= limits.max)):
        raise DepthError("a depth image's RVL data are damaged: they hold values beyond 16 bits")
    image = np.zeros(pixels, np.uint16)
    lengths = np.stack((numbers[runs], numbers[runs + 1]), axis=1).ravel()
    image[np.repeat(np.tile([False, True], len(runs)), lengths)] = values
    return image


def _numbers(words: NDArray[np.uint32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(N,) words -> (M,) each: the numbers in them, the last 27 bits of longer ones left out, and
    how many nibbles each has."""
    octets = words.astype(">u4").view(np.uint8)  # now in the order of their nibbles
    nibbles = np.empty(2 * len(octets), np.uint8)
    nibbles[0::2], nibbles[1::2] = octets >> 4, octets & 0xF
    ends = np.flatnonzero(nibbles < _LAST)
    lengths = np.diff(ends, prepend=-1)
    starts = ends - lengths + 1
    bits = (nibbles & (_LAST - 1)).astype(np.int32)
    numbers = bits[starts]
    longer = np.flatnonzero(lengths > 1)
    for group in range(1, _MOST_NIBBLES):
        numbers[longer] |= bits[starts[longer] + group] << (3 * group)
        longer = longer[np.flatnonzero(lengths[longer] > group + 1)]
    return numbers, lengths


def _runs(numbers: NDArray[np.int32], pixels: int) -> tuple[NDArray[np.int64], int]:
    """Where each run's two lengths are among the numbers, (R,), and where the image ends."""
    view = numbers.data  # Python reads it faster than the array
    last = len(view) - 1
    runs: list[int] = []
    at = done = 0
    while done < pixels and at < last:
        runs.append(at)
        values = view[at + 1]
        length = view[at] + values
        if not length:
            raise DepthError("a depth image's RVL data are damaged: they hold an empty run")
        done += length
        at += 2 + values
    if done < pixels or at > len(view):
        raise DepthError("a depth image's RVL data are truncated: they end before the image does")
    if done > pixels:
        raise DepthError(f"a depth image's RVL data are damaged: they hold over {pixels} pixels")
    return np.array(runs), at
