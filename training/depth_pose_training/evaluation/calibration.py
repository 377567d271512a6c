"""Calibration of the confidence and its reliability."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from depth_pose_ros.core.models.decode import CONFIDENCE_EPS
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.errors import UserError

Array = NDArray[np.float64]

RIGHT = 0.10  #: metres, maximum error of a correct joint, as in mAP at 10 cm
BINS = 10
_SHRINKAGE = 20.0  # weight of the common calibration, in joints


@dataclass(frozen=True)
class Reliability:
    """Outcomes of N joints, by confidence in equal bins.

    Attributes:
        confidence: (BINS,) their mean confidence; NaN for an empty bin.
        right: (BINS,) share of correct joints; NaN for an empty bin.
        count: (BINS,) number of joints.
        brier: mean squared difference of confidence and outcome (Brier, 1950).
    """

    confidence: Array
    right: Array
    count: NDArray[np.int64]
    brier: float

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., 2015): mean gap, weighted by count."""
        gap = np.nan_to_num(np.abs(self.confidence - self.right))
        return float((gap * self.count).sum() / self.count.sum())


def reliability(confidence: Array, right: NDArray[np.bool_]) -> Reliability:
    """Reliability of N confidences in [0, 1].

    Raises:
        UserError: there are none.
    """
    if not confidence.size:
        raise UserError("no joint has known truth: the confidence cannot be evaluated")
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(which, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            np.bincount(which, confidence, BINS) / count,
            np.bincount(which, right, BINS) / count,
            count,
            float(np.mean((confidence - right) ** 2)),
        )


def calibrate(confidence: Array, calibration: Array) -> Array:
    """NumPy version of :func:`depth_pose_ros.core.models.decode.calibrate_confidence`."""
    z = logit(np.clip(confidence, CONFIDENCE_EPS, 1 - CONFIDENCE_EPS))
    result: Array = expit(calibration[:, 0] * z + calibration[:, 1])
    return result


def fit(confidence: Array, right: NDArray[np.bool_], known: NDArray[np.bool_]) -> Array:
    """Slope and offset of every joint (Platt, 1999), regularized towards those of all joints.

    Args:
        confidence: (N, 19) in [0, 1], not calibrated.
        right: (N, 19) bool, correct joints.
        known: (N, 19) bool, joints with truth.

    Returns:
        (19, 2); slopes are positive, so that the order is kept.

    Raises:
        UserError: too few joints, or all of them right or wrong.
    """
    if not (0 < right[known].mean() < 1 if known.any() else False):
        raise UserError("a calibration needs joints that are right and joints that are wrong")
    z = logit(np.clip(confidence, CONFIDENCE_EPS, 1 - CONFIDENCE_EPS))
    together = _fit(z[known], right[known], np.zeros(2), 1e-3)
    rows = [
        _fit(z[known[:, k], k], right[known[:, k], k], together, _SHRINKAGE)
        for k in range(NUM_JOINTS)
    ]
    return np.array([(np.exp(slope), offset) for slope, offset in rows])


def _fit(z: Array, right: NDArray[np.bool_], centre: Array, strength: float) -> Array:
    """(2,) log slope and offset; minimizes log loss plus ``strength`` times squared distance."""
    sign = np.where(right, 1.0, -1.0)

    def loss(theta: Array) -> tuple[float, Array]:
        slope, offset = np.exp(theta[0]), theta[1]
        margin = sign * (slope * z + offset)
        wrong = -sign * expit(-margin)
        off = theta - centre
        value = np.logaddexp(0, -margin).sum() + strength * (off**2).sum()
        return float(value), np.array(((wrong * z).sum() * slope, wrong.sum())) + 2 * strength * off

    solution: Array = minimize(loss, centre, jac=True, method="L-BFGS-B").x
    return solution
