"""The time of the images: when it jumps back, and how old they are.  Knows no ROS."""

from typing import Protocol

from depth_pose_ros.core.depth import DepthError

_DISORDER = 1.0  # seconds back between two images that are no other time yet
_OLDEST = 60.0  # seconds; a stamp that is older is of another clock


class Stamp(Protocol):
    """The fields of ``builtin_interfaces/Time``."""

    sec: int
    nanosec: int


class Timeline:
    """Notices a bag that begins again and a simulation that is reset."""

    def __init__(self) -> None:
        self._newest = 0.0

    def begin(self) -> None:
        """Forget what was."""
        self._newest = 0.0

    def jump(self, stamp: Stamp) -> float:
        """Follow an image's stamp; returns the seconds by which time has jumped back, mostly 0.

        Raises:
            DepthError: a time before 1970, which ROS has not.
        """
        if stamp.sec < 0:
            raise DepthError(
                f"its stamp is {stamp.sec} s, before 1970: the driver's clock is wrong"
            )
        now = seconds(stamp)
        back = self._newest - now
        jumped = back > _DISORDER
        self._newest = now if jumped else max(now, self._newest)
        return back if jumped else 0.0


def seconds(stamp: Stamp) -> float:
    """A stamp as seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def age(stamp: Stamp, now: int) -> float:
    """Seconds since an image was taken; NaN where its stamp is of another clock.

    Args:
        stamp: the image's.
        now: nanoseconds.
    """
    result = (now - stamp.sec * 10**9 - stamp.nanosec) * 1e-9
    return result if 0 <= result <= _OLDEST else float("nan")
