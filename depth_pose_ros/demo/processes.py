"""Child processes, deferred signals, and a Fast DDS profile for large images."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

#: Seconds to wait after SIGINT and after SIGTERM.  The node may be processing a frame.
_STOP_TIMEOUTS = {signal.SIGINT: 12.0, signal.SIGTERM: 3.0}
_TAIL_LINES = 12

#: The signals that end the demo.
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
#: Distributions with Fast DDS 2, whose variable has the old name Fast RTPS.
_FASTRTPS = ("humble", "iron", "jazzy")
_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")

_PROFILE = """\
<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>shared_memory</transport_id>
        <type>SHM</type>
        <segment_size>16777216</segment_size>
      </transport_descriptor>
      <transport_descriptor>
        <transport_id>udp</transport_id>
        <type>UDPv4</type>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="large_images" is_default_profile="true">
      <rtps>
        <userTransports>
          <transport_id>shared_memory</transport_id>
          <transport_id>udp</transport_id>
        </userTransports>
        <useBuiltinTransports>false</useBuiltinTransports>
      </rtps>
    </participant>
  </profiles>
</dds>
"""


class ChildProcess:
    """A Python child process with its output in a log file; a context manager that stops it.

    It runs in its own session, so that Ctrl-C in the terminal reaches only the demo, which then
    stops its children.

    Args:
        arguments: arguments of the interpreter: ``("-m", "package.module", ...)``.
        log: file for standard output and error, overwritten.
        variables: environment variables to add.
    """

    def __init__(
        self, arguments: Sequence[str], log: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        defaults = {"RCUTILS_COLORIZED_OUTPUT": "0", "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **defaults, **(variables or {})},
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.poll()

    def log_tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def stop(self) -> None:
        """Stop the process with SIGINT, then SIGTERM, then SIGKILL."""
        for number, timeout in _STOP_TIMEOUTS.items():
            if self.exit_code is not None:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                continue
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "ChildProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A second Ctrl-C must not interrupt the stopping.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.stop()
        finally:
            signal.signal(signal.SIGINT, previous)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Defer :data:`SIGNALS` until the yielded function is called.

    Python raises KeyboardInterrupt between any two instructions.  Inside a call of rclpy this can
    leave a partly constructed node, which cannot be destroyed.

    Raises:
        KeyboardInterrupt: by the function, or at the end of the block if a signal is pending.
    """
    received: list[int] = []

    def record(number: int, _: object) -> None:
        received.append(number)

    def check() -> None:
        if received:
            raise KeyboardInterrupt

    previous = [(number, signal.signal(number, record)) for number in SIGNALS]
    try:
        yield check
    finally:
        for number, handler in previous:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    check()


def fastdds_profile(folder: Path) -> dict[str, str]:
    """Write a Fast DDS profile for large images; returns the environment variables that select it.

    A publisher's shared-memory segment is 512 kB by default.  A best-effort subscriber on the same
    machine loses most images that are larger (640 x 480 and more).  Other middlewares ignore these
    variables.  A profile set by the user is not replaced.

    Args:
        folder: folder of the profile, ``fastdds.xml``.
    """
    if any(os.environ.get(name) for name in _VARIABLES):
        return {}
    path = folder / "fastdds.xml"
    path.write_text(_PROFILE)
    return {_VARIABLES[os.environ.get("ROS_DISTRO") in _FASTRTPS]: str(path.resolve())}
