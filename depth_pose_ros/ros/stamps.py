"""Stamps of depth images: their order, outliers and jumps of the clock."""

import math
from collections import deque
from statistics import median
from typing import NamedTuple, Protocol

from depth_pose_ros.ros import log_messages

#: Seconds by which an image may be older than an earlier one and still count as late.
MAX_DISORDER = 1.0
_MAX_AGE = 60.0  # seconds; an older stamp belongs to another clock
_MIN_AHEAD = 0.25  # seconds by which a stamp may be ahead of what the time of arrival suggests
_STEPS_AHEAD = 5.0  # the same, in usual steps between two images: a bag may be played fast
_UNKNOWN_STEP = 5.0 / _STEPS_AHEAD  # seconds; before the usual step is known
_NUM_IMAGES = 9  # for the usual step and the usual time of arrival
_JUMP_LENGTH = 3  # consecutive images that are outliers and agree: the clock has jumped
_MANY_REPEATS = 5  # images with one stamp


class Stamp(Protocol):
    """The fields of ``builtin_interfaces/Time``."""

    sec: int
    nanosec: int


class Decision(NamedTuple):
    """What to do with an image.

    Attributes:
        use: whether to process it.
        jump: seconds by which the clock has jumped before this image, usually 0.
        error: why it is not used, "" where that is usual: late or repeated.
    """

    use: bool
    jump: float = 0.0
    error: str = ""


class StampFilter:
    """Decides for each image whether its stamp continues those before.

    A late or repeated image says nothing new and is left out.  A single stamp far ahead or behind
    is an outlier, which costs this image only.  Several consecutive ones that agree are a jump of
    the clock: a bag that is played again, a simulation that is reset, a clock that is corrected.
    """

    def __init__(self) -> None:
        self._newest = math.nan
        self._steps: deque[float] = deque(maxlen=_NUM_IMAGES)
        self._leads: deque[float] = deque(maxlen=_NUM_IMAGES)
        self._num_outliers, self._repeats = 0, 0
        self._outlier_stamp, self._outlier_arrival = math.nan, 0.0
        self._late_since = math.inf

    def reset(self) -> None:
        """Forget all stamps."""
        self._newest = math.nan
        self._steps.clear()
        self._leads.clear()
        self._forget_unused()

    def decide(self, stamp: Stamp, arrival: float) -> Decision:
        """Take in an image's stamp.

        Args:
            stamp: of the image.
            arrival: seconds of a monotonic clock.
        """
        now = to_seconds(stamp)
        if stamp.sec < 0:
            error = log_messages.STAMP_BEFORE_1970.format(seconds=stamp.sec)
            return Decision(use=False, error=error)
        if now == 0:
            return Decision(use=False, error=log_messages.STAMP_ZERO)
        if math.isnan(self._newest):
            return self._use(now, arrival, jump=0.0)
        step = now - self._newest
        usual_step = median(self._steps) if self._steps else _UNKNOWN_STEP
        max_ahead = max(_MIN_AHEAD, _STEPS_AHEAD * usual_step)
        # The greatest: some images arrive late, none early.
        if step < -MAX_DISORDER or now - arrival > max(self._leads) + max_ahead:
            return self._outlier(now, arrival, max_ahead)
        if step > 0:
            self._steps.append(step)
            return self._use(now, arrival, jump=0.0)
        if step == 0:
            self._repeats += 1
            many = self._repeats >= _MANY_REPEATS
            return Decision(use=False, error=log_messages.STAMP_REPEATED if many else "")
        self._late_since = min(self._late_since, arrival)
        if arrival - self._late_since > MAX_DISORDER:  # not late: a short bag that is repeated
            return self._use(now, arrival, jump=step)
        return Decision(use=False)

    def _use(self, now: float, arrival: float, jump: float) -> Decision:
        if jump:
            self._leads.clear()
        self._newest = now
        self._leads.append(now - arrival)
        self._forget_unused()
        return Decision(use=True, jump=jump)

    def _outlier(self, now: float, arrival: float, max_ahead: float) -> Decision:
        advance = now - self._outlier_stamp
        if 0 < advance <= arrival - self._outlier_arrival + max(max_ahead, MAX_DISORDER):
            self._num_outliers += 1
        elif advance != 0:  # also the first one, where it is NaN
            self._num_outliers = 1
        self._outlier_stamp, self._outlier_arrival = now, arrival
        jump = now - self._newest
        if self._num_outliers >= _JUMP_LENGTH:
            return self._use(now, arrival, jump)
        template = log_messages.STAMP_AHEAD if jump > 0 else log_messages.STAMP_BEHIND
        return Decision(use=False, error=template.format(seconds=abs(jump)))

    def _forget_unused(self) -> None:
        """Forget the images that were not used since the last one that was."""
        self._num_outliers, self._repeats = 0, 0
        self._outlier_stamp, self._outlier_arrival = math.nan, 0.0
        self._late_since = math.inf


def to_seconds(stamp: Stamp) -> float:
    """A stamp in seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def age(stamp: Stamp, now: int) -> float:
    """Seconds since the acquisition of an image; NaN if its stamp belongs to another clock.

    Args:
        stamp: of the image.
        now: nanoseconds.
    """
    result = (now - stamp.sec * 10**9 - stamp.nanosec) * 1e-9
    return result if 0 <= result <= _MAX_AGE else math.nan
