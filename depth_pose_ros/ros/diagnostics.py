"""What the node reports about itself: statistics, ``/diagnostics`` and the rate of log messages."""

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper, Updater
from rclpy.node import Node

from depth_pose_ros.ros import log_messages

_RATE_WINDOW = 3.0  # seconds over which rates are measured
_MAX_TIMES = 1000
_ERROR_DURATION = 5.0  # seconds for which the last error is part of the status
_MAX_TIME_WITHOUT_RESULT = 5.0  # seconds
_STATUS_NAME = "skeletons"

_MAX_KINDS = 100  # of messages in one period
_MIN_VALID_SHARE = 0.2  # of the pixels of a depth image


class Snapshot(NamedTuple):
    """:class:`Statistics` at one moment.

    Attributes:
        input_rate: depth images per second.
        output_rate: published results per second.
        processing_time: seconds from arrival of an image to its result, of the last result; NaN
            before it.
        latency: seconds from acquisition of an image to its result, by its stamp; NaN if the stamp
            belongs to another clock.
        num_people: in the last result.
        time_since_image: seconds since the last image, or since the reset before the first.
        time_since_result: seconds since the last result, or since the reset before the first.
        num_images: number of images since the reset.
        num_late: number of images left out because they were late or repeated.
        num_outliers: number of images left out because of their stamp.
        valid_share: share of the pixels that have a depth, of the last result; NaN before it.
        last_error: the last error message, "" if there was none.
        error_age: seconds since it; infinite if there was none.
    """

    input_rate: float
    output_rate: float
    processing_time: float
    latency: float
    num_people: int
    time_since_image: float
    time_since_result: float
    num_images: int
    num_late: int
    num_outliers: int
    valid_share: float
    last_error: str
    error_age: float


class Statistics:
    """Counts images and results and measures times; safe to use from several threads.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._error, self._error_time = "", -math.inf
        self.reset()

    def reset(self) -> None:
        """Restart counting; the last error is kept."""
        with self._lock:
            self._image_times: deque[float] = deque(maxlen=_MAX_TIMES)
            self._result_times: deque[float] = deque(maxlen=_MAX_TIMES)
            self._last_image = self._last_result = self._clock()
            self._num_images = self._num_people = 0
            self._num_late = self._num_outliers = 0
            self._processing_time = self._latency = self._valid_share = math.nan

    def add_image(self) -> float:
        """Count an image; returns the seconds since the one before."""
        with self._lock:
            now = self._clock()
            gap, self._last_image = now - self._last_image, now
            self._image_times.append(now)
            self._num_images += 1
            return gap

    def add_unused(self, is_outlier: bool) -> None:
        """Count an image left out because of its stamp: an outlier, or late or repeated."""
        with self._lock:
            self._num_outliers += is_outlier
            self._num_late += not is_outlier

    def restart_times(self) -> None:
        """Measure the times since the last image and result from now on."""
        with self._lock:
            self._last_image = self._last_result = self._clock()
            self._num_images = 0

    def add_result(
        self, num_people: int, processing_time: float, latency: float, valid_share: float
    ) -> None:
        """Count a published result; see :class:`Snapshot`."""
        with self._lock:
            self._last_result = self._clock()
            self._result_times.append(self._last_result)
            self._num_people = num_people
            self._processing_time, self._latency = processing_time, latency
            self._valid_share = valid_share

    def add_error(self, message: str) -> None:
        """Store the last error."""
        with self._lock:
            self._error, self._error_time = message, self._clock()

    def snapshot(self) -> Snapshot:
        """The current values."""
        with self._lock:
            now = self._clock()
            return Snapshot(
                input_rate=_rate(self._image_times, now),
                output_rate=_rate(self._result_times, now),
                processing_time=self._processing_time,
                latency=self._latency,
                num_people=self._num_people,
                time_since_image=now - self._last_image,
                time_since_result=now - self._last_result,
                num_images=self._num_images,
                num_late=self._num_late,
                num_outliers=self._num_outliers,
                valid_share=self._valid_share,
                last_error=self._error,
                error_age=now - self._error_time,
            )


def _rate(times: deque[float], now: float) -> float:
    """Events per second in the window that ends now; 0 for fewer than two."""
    recent = [t for t in times if now - t <= _RATE_WINDOW]
    # Measured up to the last event: up to now, 10 Hz would vary between 9.7 and 10.
    span = recent[-1] - recent[0] if len(recent) > 1 else 0.0
    return (len(recent) - 1) / span if span > 0 else 0.0


class NodeStatus(NamedTuple):
    """What a :class:`Snapshot` does not contain.

    Attributes:
        state: lifecycle state.
        transition_error: why the last transition failed, "" if it did not.
        image_timeout: seconds without an image after which the camera counts as stopped.
        idle: whether no result has a subscriber.
        dropped_frames: number of images replaced by newer ones before they were processed.
        model: value of the parameter.
        target_frame: value of the parameter.
    """

    state: str
    transition_error: str
    image_timeout: float
    idle: bool
    dropped_frames: int
    model: str
    target_frame: str


class Diagnostics:
    """Publishes the node's status on ``/diagnostics``, once per second.

    Args:
        node: the node.
        observe: returns the current values; called in the executor's thread.
    """

    def __init__(self, node: Node, observe: Callable[[], tuple[Snapshot, NodeStatus]]) -> None:
        self._observe = observe
        self._updater = Updater(node)
        self._updater.setHardwareID(node.get_fully_qualified_name())
        # The nodes of several cameras have the same name and differ only in the namespace.
        self._updater.add(f"{node.get_namespace()} {_STATUS_NAME}".strip("/ "), self._fill)

    def update(self) -> None:
        """Publish now."""
        self._updater.force_update()

    def _fill(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        snapshot, node_status = self._observe()
        status.summary(*_summary(snapshot, node_status))
        for key, value in _values(snapshot, node_status).items():
            status.add(key, value)
        return status


def _summary(snapshot: Snapshot, node: NodeStatus) -> tuple[bytes, str]:
    """Level and message of the status: the first condition that applies."""
    since_image, since_result = snapshot.time_since_image, snapshot.time_since_result
    recent_error = bool(snapshot.last_error) and snapshot.error_age < _ERROR_DURATION
    if node.state != "active":
        if node.transition_error:
            return DiagnosticStatus.ERROR, node.transition_error
        message = log_messages.STATUS_NOT_ACTIVE.format(state=node.state)
        return DiagnosticStatus.WARN, message
    if node.idle:
        return DiagnosticStatus.OK, log_messages.STATUS_IDLE
    if since_image > node.image_timeout:
        return DiagnosticStatus.STALE, log_messages.STATUS_NO_IMAGE.format(seconds=since_image)
    if recent_error and since_result > snapshot.error_age:
        return DiagnosticStatus.ERROR, snapshot.last_error
    if since_result > _MAX_TIME_WITHOUT_RESULT:
        return DiagnosticStatus.ERROR, log_messages.STATUS_NO_RESULT.format(seconds=since_result)
    if recent_error:
        return DiagnosticStatus.WARN, snapshot.last_error
    if snapshot.valid_share < _MIN_VALID_SHARE:
        percent = 100 * snapshot.valid_share
        return DiagnosticStatus.WARN, log_messages.STATUS_FEW_PIXELS.format(percent=percent)
    return DiagnosticStatus.OK, log_messages.STATUS_OK.format(
        people=snapshot.num_people, rate=snapshot.output_rate
    )


def _values(snapshot: Snapshot, node: NodeStatus) -> dict[str, str]:
    """Keys and values of the status."""
    return {
        "Rate in [Hz]": f"{snapshot.input_rate:.1f}",
        "Rate out [Hz]": f"{snapshot.output_rate:.1f}",
        "Latency, acquisition to result [ms]": _milliseconds(snapshot.latency),
        "Latency, arrival to result [ms]": _milliseconds(snapshot.processing_time),
        "Dropped frames": str(node.dropped_frames),
        "Late or repeated images": str(snapshot.num_late),
        "Images with outlier stamps": str(snapshot.num_outliers),
        "Valid depth pixels [%]": _percent(snapshot.valid_share),
        "People": str(snapshot.num_people),
        "Last error": snapshot.last_error or "none",
        "Model": node.model or "default",
        "Frame": node.target_frame or "that of the depth image",
        "State": node.state,
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}" if math.isfinite(seconds) else "unknown"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if math.isfinite(share) else "unknown"


class Reporter:
    """Logs messages, each kind at most once per period; errors are also part of the status.

    Args:
        node: its logger is used.
        statistics: receives the errors.
        period: seconds.
    """

    def __init__(self, node: Node, statistics: Statistics, period: float) -> None:
        self._node, self._statistics = node, statistics
        self._throttle = Throttle(period)

    def info(self, message: str) -> None:
        """Log information."""
        if self._throttle.allows(message):
            self._node.get_logger().info(message)

    def warning(self, message: str) -> None:
        """Log a warning."""
        if self._throttle.allows(message):
            self._node.get_logger().warning(message)

    def error(self, message: str) -> None:
        """Log an error and store it for the status."""
        self._statistics.add_error(message)
        if self._throttle.allows(message):
            self._node.get_logger().error(message)


class Throttle:
    """Allows each kind of message at most once in ``period`` seconds.

    rclpy's ``throttle_duration_sec`` counts per line of code, so that one error would suppress
    another one logged by the same line.  Here messages that differ in numbers only are one kind.
    """

    def __init__(self, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._last: dict[str, float] = {}

    def allows(self, message: str) -> bool:
        """True, and remembers the message, if its kind may be logged now."""
        now = self._clock()
        kind = re.sub(r"\d+", "#", message)
        if len(self._last) >= _MAX_KINDS:  # messages quote their input, so kinds are unlimited
            self._last = {k: at for k, at in self._last.items() if now - at < self._period}
        if len(self._last) >= _MAX_KINDS:
            return False
        if now - self._last.get(kind, -math.inf) < self._period:
            return False
        self._last[kind] = now
        return True
