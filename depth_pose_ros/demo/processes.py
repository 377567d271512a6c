"""Child processes that end with the demo, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

#: Seconds to obey SIGINT and then SIGTERM.  A node may have a frame in work.
_PATIENCE = {signal.SIGINT: 12.0, signal.SIGTERM: 3.0}
_TAIL_LINES = 12


class Child:
    """A Python module run as a process of its own, its output in a log file.

    It gets a process group of its own: a Ctrl-C in the terminal then reaches only the demo, which
    ends its children in order.

    Args:
        arguments: what follows the interpreter: ``("-m", "package.module", ...)``.
        log: file for standard output and error, overwritten.
        variables: added to this process's environment.
    """

    def __init__(
        self, arguments: Sequence[str], log: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        plain = {"RCUTILS_COLORIZED_OUTPUT": "0", "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **plain, **(variables or {})},
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def stop(self) -> None:
        """End it and what it started: SIGINT, then less and less politely."""
        for number, patience in _PATIENCE.items():
            if self.exit_code is not None:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A second Ctrl-C must not leave the process behind.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.stop()
        finally:
            signal.signal(signal.SIGINT, previous)
