"""Confidence that means something: how reliable it is, and what makes it so."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from depth_pose_ros.core.models.decode import CONFIDENCE_EPS
from depth_pose_ros.core.skeleton import NUM_JOINTS

Array = NDArray[np.float64]

RIGHT = 0.10  #: metres: a joint this near to the truth is right, as in mAP at 10 cm
BINS = 10
_SHRINKAGE = 20.0  # as if so many joints agreed with the calibration of all together


@dataclass(frozen=True)
class Reliability:
    """What came of N joints, by confidence in equal bins.

    Attributes:
        confidence: (BINS,) their mean confidence; NaN for an empty bin.
        right: (BINS,) share that was right; NaN for an empty bin.
        count: (BINS,) how many.
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
    """Confidences in [0, 1] and outcomes of N joints.

    Raises:
        ValueError: there are none.
    """
    if not confidence.size:
        raise ValueError("no joint with known truth: there is nothing to compare confidence with")
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
    """Slope and offset of every joint (Platt, 1999), drawn to those of all joints together.

    Args:
        confidence: (N, 19) in [0, 1], not calibrated.
        right: (N, 19) whether the joint was.
        known: (N, 19) whether there is truth.

    Returns:
        (19, 2); slopes are positive, so that order stays.

    Raises:
        ValueError: too few joints, or all of them right or wrong.
    """
    if not (0 < right[known].mean() < 1 if known.any() else False):
        raise ValueError("a calibration needs joints that are right and joints that are wrong")
    z = logit(np.clip(confidence, CONFIDENCE_EPS, 1 - CONFIDENCE_EPS))
    together = _fit(z[known], right[known], np.zeros(2), 1e-3)
    rows = [
        _fit(z[known[:, k], k], right[known[:, k], k], together, _SHRINKAGE)
        for k in range(NUM_JOINTS)
    ]
    return np.array([(np.exp(slope), offset) for slope, offset in rows])


def _fit(z: Array, right: NDArray[np.bool_], centre: Array, strength: float) -> Array:
    """(2,) log of the slope and offset: least log loss plus ``strength`` times squared distance."""
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
