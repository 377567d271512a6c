"""How the node is doing: frames in and out, delays, the last fault.  Knows no ROS."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

_WINDOW = 3.0  # seconds over which rates are counted
_MOST_TICKS = 1000
_NEVER = -float("inf")


class Report(NamedTuple):
    """A :class:`Health` at one moment.

    Attributes:
        rate_in: depth images a second.
        rate_out: published results a second.
        working: seconds from an image's arrival to its result, of the last one; NaN before it.
        latency: seconds from an image's acquisition to its result, by the images' stamps; NaN where
            they are not of this clock.
        people: in the last result.
        silence: seconds since the last image, or since the beginning where none has come.
        idle: seconds since the last result, or since the beginning where there is none.
        images: how many have come since the beginning.
        error: the last fault, "" if there was none.
        error_age: seconds since it; infinite if there was none.
    """

    rate_in: float
    rate_out: float
    working: float
    latency: float
    people: int
    silence: float
    idle: float
    images: int
    error: str
    error_age: float


class Health:
    """Counts and times; safe to use from several threads.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._error, self._error_at = "", _NEVER
        self.begin()

    def begin(self) -> None:
        """Start counting anew; the last fault is kept."""
        with self._lock:
            self._in: deque[float] = deque(maxlen=_MOST_TICKS)
            self._out: deque[float] = deque(maxlen=_MOST_TICKS)
            self._last_in = self._last_out = self._clock()
            self._images = self._people = 0
            self._working = self._latency = float("nan")

    def image(self) -> float:
        """An image has come; returns the seconds of silence before it."""
        with self._lock:
            now = self._clock()
            silence, self._last_in = now - self._last_in, now
            self._in.append(now)
            self._images += 1
            return silence

    def result(self, people: int, working: float, latency: float) -> None:
        """A result was published; see :class:`Report`."""
        with self._lock:
            self._last_out = self._clock()
            self._out.append(self._last_out)
            self._people, self._working, self._latency = people, working, latency

    def fault(self, message: str) -> None:
        """Something went wrong."""
        with self._lock:
            self._error, self._error_at = message, self._clock()

    def report(self) -> Report:
        """All of it, now."""
        with self._lock:
            now = self._clock()
            return Report(
                rate_in=_rate(self._in, now),
                rate_out=_rate(self._out, now),
                working=self._working,
                latency=self._latency,
                people=self._people,
                silence=now - self._last_in,
                idle=now - self._last_out,
                images=self._images,
                error=self._error,
                error_age=now - self._error_at,
            )


def _rate(ticks: deque[float], now: float) -> float:
    """Ticks a second in the window that ends now; 0 for less than two."""
    recent = [tick for tick in ticks if now - tick <= _WINDOW]
    # Measured to the last tick, or a rate of 10 Hz would swing between 9.7 and 10.
    span = recent[-1] - recent[0] if len(recent) > 1 else 0.0
    return (len(recent) - 1) / span if span > 0 else 0.0
