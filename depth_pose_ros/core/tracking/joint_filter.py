"""A Kalman filter per joint that removes jitter without adding lag.

State: position and velocity of every joint, axis by axis.  A joint's velocity is drawn back to the
body's with time (Ornstein-Uhlenbeck; with the body standing still, Singer's model of manoeuvring
targets, "Estimating optimal tracking filter performance for manned maneuvering targets", 1970), so
that a joint that is not seen goes on for a moment and then moves with the body.

What the one-euro filter (Casiez, Roussel, Vogel, CHI 2012) does with its cut-off, the process noise
does here: it grows with speed, so what rests is smoothed much and what moves little.  Unlike a
low-pass the velocity in the state takes away the lag of steady motion.
"""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import NUM_JOINTS

Array = NDArray[np.float64]

#: Standard deviation of a measurement from frame to frame, metres across the optical axis:
#: NOISE_MIN + NOISE_RANGE * (1 - c) / (c + 0.3) for confidence c.  Measured on the demo's clip.
NOISE_MIN, NOISE_RANGE = 0.003, 0.04
#: Factor on the noise along the optical axis.
DEPTH_NOISE = 1.7
#: Process noise: acceleration at rest, m/s^2, and per m/s of the joint's speed.
REST_ACCELERATION, MOVING_ACCELERATION = 1.0, 10.0
#: Time constant of a joint's motion relative to the body, seconds.
RELATIVE_MOTION_DECAY = 0.3
#: Standard deviation of the initial speed, m/s.
INITIAL_SPEED = 1.0
#: Maximum speed, m/s.
MAX_SPEED = 10.0
#: Gate on the squared normalized innovation (3 axes) of a steady motion.
INNOVATION_GATE = 30.0
#: Outlier gate: metres, and standard deviations of the prediction.  A measurement outside is
#: accepted if the next one confirms it.
JUMP, JUMP_DEVIATIONS = 0.12, 2.0

_AXES = np.array((1.0, 1.0, DEPTH_NOISE))
_TINY = 1e-10  # square metres: keeps gains defined where nothing is smoothed
_MIN_STEP = 1 / 60  # seconds, minimum duration of a change of motion


class JointFilter:
    """The joints of one person.

    Args:
        joints: (19, 3) metres, as first measured.
        confidence: (19,) in [0, 1].
        smoothing: factor on the measurement's noise.

    Attributes:
        smoothing: may change.
        position: (19, 3) metres.
        velocity: (19, 3) m/s.
    """

    def __init__(self, joints: Array, confidence: Array, smoothing: float) -> None:
        self.smoothing = smoothing
        self.position = joints.copy()
        self.velocity = np.zeros_like(joints)
        self._pp = self._noise(confidence)
        self._pv = np.zeros_like(joints)
        self._vv = np.full_like(joints, INITIAL_SPEED**2)
        self._jumped = np.full((NUM_JOINTS, 3), np.inf)  # outlier of the last measurement

    @property
    def variance(self) -> Array:
        """(19,) square metres: of the position, mean of the axes."""
        mean: Array = self._pp.mean(1)
        return mean

    def predict(self, dt: float, body_velocity: Array) -> None:
        """Advance by ``dt`` > 0 seconds; the body moves at (3,) m/s."""
        keep = np.exp(-dt / RELATIVE_MOTION_DECAY)
        reach = RELATIVE_MOTION_DECAY * (1 - keep)
        own = self.velocity - body_velocity
        speed = np.linalg.norm(own, axis=1, keepdims=True)
        self.position = self.position + body_velocity * dt + own * reach
        self.velocity = body_velocity + own * keep
        self._pp += 2 * reach * self._pv + reach**2 * self._vv
        self._pv = keep * (self._pv + reach * self._vv)
        self._vv *= keep**2
        self._add_process_noise(
            ((REST_ACCELERATION + MOVING_ACCELERATION * speed) * dt**2 / 2) ** 2, dt
        )

    def correct(self, joints: Array, confidence: Array, dt: float) -> Array:
        """Update with a measurement.

        Args:
            joints: (19, 3) metres; arbitrary where confidence is 0.
            confidence: (19,) in [0, 1]; 0 for joints that were not measured.
            dt: seconds since the measurement before.

        Returns:
            (19,) in [0, 1]: gain of each position.
        """
        measured = confidence > 0
        innovation = np.where(measured[:, None], joints - self.position, 0.0)
        noise = self._noise(confidence)
        expected = JUMP + JUMP_DEVIATIONS * np.sqrt(self._pp.sum(1))
        far = measured & (np.linalg.norm(innovation, axis=1) > expected)
        again = far & (np.linalg.norm(joints - self._jumped, axis=1) <= expected)
        self._jumped = np.where((far & ~again)[:, None], joints, np.inf)
        self._restart(again, joints, noise)
        use = measured & ~far
        # An innovation larger than the gate is a change of motion: increase the process noise.
        unexplained = (
            (innovation**2).mean(1, keepdims=True) * 3 / INNOVATION_GATE - self._pp - noise
        )
        self._add_process_noise(np.where(use[:, None], np.maximum(unexplained, 0.0), 0.0), dt)
        gain = np.where(use[:, None], self._pp / (self._pp + noise), 0.0)
        gain_v = np.where(use[:, None], self._pv / (self._pp + noise), 0.0)
        self.position = self.position + gain * innovation
        self.velocity = np.clip(self.velocity + gain_v * innovation, -MAX_SPEED, MAX_SPEED)
        self._vv -= gain_v * self._pv
        self._pv *= 1 - gain
        self._pp *= 1 - gain
        share: Array = np.where(again, 1.0, gain.mean(1))
        return share

    def reorder(self, order: NDArray[np.int64]) -> None:
        """Permute joints: joint i takes the state of ``order[i]``."""
        for name in ("position", "velocity", "_pp", "_pv", "_vv", "_jumped"):
            setattr(self, name, getattr(self, name)[order])

    def _noise(self, confidence: Array) -> Array:
        c = np.clip(confidence, 0.0, 1.0)[:, None]
        across = NOISE_MIN + NOISE_RANGE * (1 - c) / (c + 0.3)
        variance: Array = (self.smoothing * across * _AXES) ** 2 + _TINY
        return variance

    def _add_process_noise(self, variance: Array, dt: float) -> None:
        """White noise as acceleration over one step, that adds this variance to positions.

        An acceleration that is held for the step would do worse: velocity would take in twice what
        position was off by, and swing to and fro when it is itself what was wrong.
        """
        dt = max(dt, _MIN_STEP)
        self._pp += variance
        self._pv += 3 / 2 * variance / dt
        self._vv += 3 * variance / dt**2

    def _restart(self, rows: NDArray[np.bool_], joints: Array, noise: Array) -> None:
        self.position[rows], self.velocity[rows] = joints[rows], 0.0
        self._pp[rows], self._pv[rows], self._vv[rows] = noise[rows], 0.0, INITIAL_SPEED**2
