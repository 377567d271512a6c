"""Serialized messages that differ from their predecessors in numbers only.

A skeleton's markers are some 20 messages with 60 more inside them.  To make and serialize them
costs Python milliseconds in every frame, beside a network that has just emptied the processor's
cache.  From frame to frame only coordinates, opacities, scores and the stamp change, so here they
are written into the bytes of the message before.  Where these lie is not computed but seen: in a
message that was made and serialized in the usual way from numbers that occur nowhere else.
"""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

#: In so many messages running must a shape come before it gets a stencil, which costs as much as
#: two or three of them: joints that come and go with every frame are not worth it.
_REPEATS = 3
_MOST = 64  # stencils of one topic: people come and go, and their joints with them


class TemplateValues(NamedTuple):
    """What changes in a message.

    Attributes:
        doubles: (n,) its float64.
        singles: (m,) its float32.
        raw: stamps and texts, as serialized; of constant length.
    """

    doubles: NDArray[np.float64]
    singles: NDArray[np.float32]
    raw: tuple[bytes, ...]

    def items(self) -> list[bytes]:
        """One by one, as serialized."""
        return [*(v.tobytes() for v in (*self.doubles, *self.singles)), *self.raw]


def stamp(time: Time) -> bytes:
    """A stamp as serialized."""
    return np.int32(time.sec).tobytes() + np.uint32(time.nanosec).tobytes()


class MessageTemplate:
    """A serialized message, and where its ink goes.

    Args:
        data: the message, serialized.
        ink: of this message; every item is found wherever it occurs.

    Raises:
        ValueError: some of the ink is not in the message.
    """

    def __init__(self, data: bytes, ink: TemplateValues) -> None:
        self._data = np.frombuffer(data, np.uint8)
        source: list[int] = []
        target: list[int] = []
        start = 0
        for item in ink.items():
            at = data.find(item)
            if at < 0:
                raise ValueError("not all of the ink is in the message")
            while at >= 0:
                source += range(start, start + len(item))
                target += range(at, at + len(item))
                at = data.find(item, at + 1)
            start += len(item)
        self._source, self._target = np.array(source, np.intp), np.array(target, np.intp)

    def fill(self, ink: TemplateValues) -> bytes:
        """The message with this ink, whose items are as many and as long as the first one's."""
        data = self._data.copy()
        flow = ink.doubles.tobytes() + ink.singles.tobytes() + b"".join(ink.raw)
        data[self._target] = np.frombuffer(flow, np.uint8)[self._source]
        return data.tobytes()

    def agrees(self, filled: bytes, other: bytes) -> bool:
        """Whether two messages of this shape have the same ink, and are of the same length."""
        a, b = (np.frombuffer(data, np.uint8) for data in (filled, other))
        return len(a) == len(b) and bool((a[self._target] == b[self._target]).all())


class TemplateCache:
    """The stencils of one topic, by what the message looks like apart from its ink.

    Args:
        read: takes a serialized message apart, so that two can be compared (what lies between their
            fields differs).
        later: has a stencil made; elsewhere, because the message must not wait for it.
    """

    def __init__(
        self, read: Callable[[bytes], object], later: Callable[[Callable[[], None]], object]
    ) -> None:
        self._read, self._later = read, later
        self._trusted = False
        self._last: Hashable = None
        self._repeats = 0
        self._known: dict[Hashable, MessageTemplate | None] = {}

    def serialized(
        self,
        shape: Hashable,
        ink: TemplateValues,
        make: Callable[[], bytes],
        probe: Callable[[], tuple[bytes, TemplateValues]],
    ) -> bytes:
        """The message, serialized.

        Args:
            shape: two messages of the same shape differ in their ink only.
            ink: of this message.
            make: makes and serializes it in the usual way.
            probe: makes and serializes one of the same shape, with ink that occurs nowhere else;
                called once a shape.
        """
        stencil = self._known.get(shape)
        if stencil is not None:
            return stencil.fill(ink)
        data = make()
        self._repeats = self._repeats + 1 if shape == self._last else 1
        self._last = shape
        if self._repeats >= _REPEATS and shape not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[shape] = None

            def prepare() -> None:
                self._known[shape] = self._checked(*probe(), ink, data)

            self._later(prepare)
        return data

    def _checked(
        self, sample: bytes, probe: TemplateValues, ink: TemplateValues, data: bytes
    ) -> MessageTemplate | None:
        """The stencil, or None if it does not give what is known to be right.

        The first one is compared whole.  That takes longer than to make the message, so that with
        every other one only the ink is, after that.
        """
        try:
            stencil = MessageTemplate(sample, probe)
            filled = stencil.fill(ink)
        except (ValueError, IndexError):
            return None
        if not self._trusted:
            self._trusted = self._read(filled) == self._read(data)
            return stencil if self._trusted else None
        return stencil if stencil.agrees(filled, data) else None
