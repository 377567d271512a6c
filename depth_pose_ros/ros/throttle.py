"""One clear message instead of thirty a second."""

import re
import time
from collections.abc import Callable

_MOST_KINDS = 100  # in one period


class Throttle:
    """Says which messages to let through: each kind at most once in ``period`` seconds.

    rclpy's own ``throttle_duration_sec`` counts per line of code, so there one fault would hide the
    next one that is reported from the same line.  Here a kind is the message without its numbers.
    """

    def __init__(self, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._last: dict[str, float] = {}

    def admits(self, message: str) -> bool:
        """True if a message of this kind is due, and count it as said."""
        now = self._clock()
        kind = re.sub(r"\d+", "#", message)
        if len(self._last) >= _MOST_KINDS:  # messages quote what came in, so kinds have no end
            self._last = {k: at for k, at in self._last.items() if now - at < self._period}
        if len(self._last) >= _MOST_KINDS:
            return False
        if now - self._last.get(kind, -float("inf")) < self._period:
            return False
        self._last[kind] = now
        return True
