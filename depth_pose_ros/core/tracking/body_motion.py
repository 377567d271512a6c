"""Where a body goes as a whole: constant velocity, much smoothed."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX

Array = NDArray[np.float64]

#: The line whose mean is where a person is: seen from every side, and without a left and right.
SPINE = np.array([INDEX[k] for k in ("Neck", "UpperSpine", "MiddleSpine", "DownSpine")])
_NOISE = 0.03  # metres, of the spine's mean
_ACCELERATION = 3.0  # m/s^2: somebody who sets off or turns round
_FIRST_SPEED = 1.0  # m/s
_TOP_SPEED = 4.0  # m/s: indoors
_FORGET = 1.5  # seconds in which somebody unseen is thought to slow down


class BodyMotion:
    """A Kalman filter of the spine's mean; all axes share one covariance.

    Args:
        position: (3,) metres.

    Attributes:
        position: (3,) metres.
        velocity: (3,) m/s.
    """

    def __init__(self, position: Array) -> None:
        self.position = position.copy()
        self.velocity = np.zeros(3)
        self._pp, self._pv, self._vv = _NOISE**2, 0.0, _FIRST_SPEED**2

    def predict(self, dt: float, seen: bool) -> None:
        """Go on by ``dt`` seconds; somebody unseen (not in the frame before) slows down."""
        self.position = self.position + dt * self.velocity
        if not seen:
            self.velocity = self.velocity * np.exp(-dt / _FORGET)
        self._pp += 2 * dt * self._pv + dt**2 * self._vv + _ACCELERATION**2 * dt**4 / 4
        self._pv += dt * self._vv + _ACCELERATION**2 * dt**3 / 2
        self._vv += _ACCELERATION**2 * dt**2

    def correct(self, position: Array) -> None:
        """Take in a measured position (3,)."""
        innovation = position - self.position
        gain, gain_v = (p / (self._pp + _NOISE**2) for p in (self._pp, self._pv))
        self.position = self.position + gain * innovation
        self.velocity = self.velocity + gain_v * innovation
        if (speed := float(np.linalg.norm(self.velocity))) > _TOP_SPEED:
            self.velocity *= _TOP_SPEED / speed
        self._vv -= gain_v * self._pv
        self._pp, self._pv = (1 - gain) * self._pp, (1 - gain) * self._pv
