"""Motion of a whole body: a strongly smoothed constant-velocity filter."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NOISE = 0.03  # metres, of the spine's mean
_ACCELERATION = 3.0  # m/s^2: starting to walk, turning round
_INITIAL_SPEED = 1.0  # m/s, standard deviation
_MAX_SPEED = 4.0  # m/s: indoors
_DECAY_TIME = 1.5  # seconds, of the velocity of a lost person


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
        self._pp, self._pv, self._vv = _NOISE**2, 0.0, _INITIAL_SPEED**2

    def predict(self, dt: float, seen: bool) -> None:
        """Advance by ``dt`` seconds; the velocity of a person not seen in the last frame decays."""
        self.position = self.position + dt * self.velocity
        if not seen:
            self.velocity = self.velocity * np.exp(-dt / _DECAY_TIME)
        self._pp += 2 * dt * self._pv + dt**2 * self._vv + _ACCELERATION**2 * dt**4 / 4
        self._pv += dt * self._vv + _ACCELERATION**2 * dt**3 / 2
        self._vv += _ACCELERATION**2 * dt**2

    def correct(self, position: Array) -> None:
        """Update with a measured position (3,), metres."""
        innovation = position - self.position
        gain, gain_v = (p / (self._pp + _NOISE**2) for p in (self._pp, self._pv))
        self.position = self.position + gain * innovation
        self.velocity = self.velocity + gain_v * innovation
        if (speed := float(np.linalg.norm(self.velocity))) > _MAX_SPEED:
            self.velocity *= _MAX_SPEED / speed
        self._vv -= gain_v * self._pv
        self._pp, self._pv = (1 - gain) * self._pp, (1 - gain) * self._pv
