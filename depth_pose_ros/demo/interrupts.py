"""Ctrl-C where it does no harm."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Ctrl-C, told to end, the terminal was closed.
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Signals that end the program wait until the function that this gives is called.

    Python raises KeyboardInterrupt between any two instructions: in the middle of a call of rclpy
    that leaves a node half made, which then cannot be destroyed.

    Raises:
        KeyboardInterrupt: by the function, and at the end of the block if it was not called since.
    """
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    before = [(number, signal.signal(number, note)) for number in SIGNALS]
    try:
        yield check
    finally:
        for number, handler in before:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    check()
