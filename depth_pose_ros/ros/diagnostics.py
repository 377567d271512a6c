"""The node on ``/diagnostics``: one status, level and numbers."""

import math
from collections.abc import Callable
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper, Updater
from rclpy.node import Node

from depth_pose_ros.ros.health import Report

_RECENT = 5.0  # seconds for which a fault counts
_STUCK = 5.0  # seconds without a result that are too long
_NAME = "skeletons"


class Circumstances(NamedTuple):
    """What a :class:`Report` does not tell.

    Attributes:
        state: the life cycle's.
        failure: why the last transition failed, "" if it did not.
        stale_after: seconds of silence after which the camera counts as gone.
        resting: whether nobody wants results.
        dropped: images replaced by newer ones before their turn came.
        model: what the parameter says.
        frame: the frame of the results.
    """

    state: str
    failure: str
    stale_after: float
    resting: bool
    dropped: int
    model: str
    frame: str


class Diagnostics:
    """Publishes the node's status once a second.

    Args:
        node: whose it is.
        observe: how things are; called in the executor's thread.
    """

    def __init__(self, node: Node, observe: Callable[[], tuple[Report, Circumstances]]) -> None:
        self._observe = observe
        self._updater = Updater(node)
        self._updater.setHardwareID(node.get_fully_qualified_name())
        # Several cameras' nodes have one name and differ by namespace only.
        self._updater.add(f"{node.get_namespace()} {_NAME}".strip("/ "), self._fill)

    def update(self) -> None:
        """Publish now, because something has changed."""
        self._updater.force_update()

    def _fill(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        report, circumstances = self._observe()
        status.summary(*judge(report, circumstances))
        for key, value in numbers(report, circumstances).items():
            status.add(key, value)
        return status


def judge(report: Report, now: Circumstances) -> tuple[bytes, str]:
    """A status's level and message: the first thing that somebody should put right."""
    faulty = bool(report.error) and report.error_age < _RECENT
    if now.state != "active":
        if now.failure:
            return DiagnosticStatus.ERROR, now.failure
        return DiagnosticStatus.WARN, f"Not active: {now.state}"
    if report.silence > now.stale_after:
        return DiagnosticStatus.STALE, f"No depth image for {report.silence:.0f} s"
    if now.resting:
        return DiagnosticStatus.OK, "Resting: nobody subscribes to the results"
    if faulty and report.idle > report.error_age:
        return DiagnosticStatus.ERROR, report.error
    if report.idle > _STUCK:
        return DiagnosticStatus.ERROR, (
            f"Depth images arrive, but there has been no result for {report.idle:.0f} s"
        )
    if faulty:
        return DiagnosticStatus.WARN, report.error
    return DiagnosticStatus.OK, f"{report.people} people, {report.rate_out:.1f} Hz"


def numbers(report: Report, now: Circumstances) -> dict[str, str]:
    """A status's keys and values."""
    return {
        "Rate in [Hz]": f"{report.rate_in:.1f}",
        "Rate out [Hz]": f"{report.rate_out:.1f}",
        "Latency, acquisition to result [ms]": _milliseconds(report.latency),
        "Latency, arrival to result [ms]": _milliseconds(report.working),
        "Dropped frames": str(now.dropped),
        "People": str(report.people),
        "Last error": report.error or "none",
        "Model": now.model or "default",
        "Frame": now.frame or "the image's own",
        "State": now.state,
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}" if math.isfinite(seconds) else "unknown"
