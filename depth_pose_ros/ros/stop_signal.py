"""Ending on Ctrl-C, at any time and without a traceback."""

import signal
import sys

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """What SIGINT and SIGTERM do from now on.

    While the program starts, the first one raises KeyboardInterrupt: loading a model must not be
    waited for.  While rclpy spins (set :attr:`spinning`) they only leave a note, since rclpy, whose
    own handlers call this one, then shuts the context down and so ends the spinning.  An exception
    out of nowhere would strike inside rclpy's bindings, which turn it into errors of their own.
    Where the context ends under rclpy's constructors, what is left half-built complains from its
    destructor; after a signal that is not passed on.

    Attributes:
        came: whether one has come; an error after that is likely the end of the context under
            whatever was running.
        spinning: to be set when rclpy takes over.
    """

    def __init__(self) -> None:
        self.came = False
        self.spinning = False
        for number in _NUMBERS:
            signal.signal(number, self)
        self._report = sys.unraisablehook
        sys.unraisablehook = self._on_unraisable

    def __call__(self, number: int, frame: object) -> None:
        first, self.came = not self.came, True
        if first and not self.spinning:
            raise KeyboardInterrupt

    def _on_unraisable(self, error: "sys.UnraisableHookArgs") -> None:
        if not self.came:
            self._report(error)

    def ignore(self) -> None:
        """For the end itself: `ros2 launch` and impatient users interrupt twice."""
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)
