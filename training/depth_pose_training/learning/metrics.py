"""How good estimated skeletons are: PDJ, mean 3-D error, mAP at 10 cm.

PDJ, the paper's measure (Sect. 5.1): the share of joints whose pixel distance to the truth is at
most a fraction of the torso diameter.  The torso diameter is the distance from Neck to the middle
of the two hips, in pixels, as published numbers on K2HGD are computed; a dataset without Neck
measures it from UpperSpine, and its numbers are only comparable with others that do.

All functions work on arrays of N frames.  A joint without trusted truth counts nowhere.  A person
who was missed is a row of NaN estimates: its joints count as missed, and have no error.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS

#: The paper's thresholds (Tab. 1), and a finer row of them for its curves (Fig. 7 and 10).
PDJ_THRESHOLDS: tuple[float, ...] = (0.05, 0.10, 0.15, 0.20)
CURVE_THRESHOLDS: tuple[float, ...] = tuple(i / 200 for i in range(41))

Array = NDArray[np.float64]


def torso_diameter(pixels: ArrayLike, top: str) -> Array:
    """(..., 19, 2) true pixels -> (...) pixels from ``top`` to the middle of the hips.

    NaN where one of the three joints is not known, or where they coincide: such a frame has no
    scale to measure with.
    """
    p = _checked(pixels, 2, "pixels")
    hips = (p[..., INDEX["RightHip"], :] + p[..., INDEX["LeftHip"], :]) / 2
    diameter = np.linalg.norm(p[..., INDEX[top], :] - hips, axis=-1)
    return np.where(diameter > 0, diameter, np.nan)


def normalized_distances(
    estimate: ArrayLike, truth: ArrayLike, valid: ArrayLike, top: str
) -> Array:
    """Pixel distances in torso diameters.

    Args:
        estimate: (N, 19, 2) pixels, NaN for a missed person.
        truth: (N, 19, 2) pixels.
        valid: (N, 19) bool, joints with trusted truth.
        top: upper end of the torso: "Neck", or "UpperSpine" where there is none.

    Returns:
        (N, 19): NaN where there is no truth (or the frame's torso is unknown), inf where missed.
    """
    distance = _distances(_checked(estimate, 2, "estimate"), _checked(truth, 2, "truth"), valid)
    return distance / torso_diameter(truth, top)[:, None]


def position_errors(estimate: ArrayLike, truth: ArrayLike, valid: ArrayLike) -> Array:
    """3-D distances in metres.

    Args:
        estimate: (N, 19, 3) metres, NaN for a missed person.
        truth: (N, 19, 3) metres.
        valid: (N, 19) bool, joints with trusted truth.

    Returns:
        (N, 19): NaN where there is no truth, inf where missed.
    """
    return _distances(_checked(estimate, 3, "estimate"), _checked(truth, 3, "truth"), valid)


def detected_per_joint(errors: ArrayLike, thresholds: ArrayLike) -> Array:
    """Share of joints at most each threshold away: (N, 19) and (T,) -> (T, 19).

    NaN for a joint that never has truth.  With :func:`normalized_distances` this is PDJ per joint
    (Fig. 11); with :func:`position_errors` the average precision per joint at a distance.
    """
    e = np.asarray(errors, dtype=np.float64)
    counted = ~np.isnan(e)
    hits = e[None] <= np.asarray(thresholds, dtype=np.float64)[:, None, None]  # NaN compares false
    return _ratio(hits.sum(1), np.broadcast_to(counted.sum(0), (len(hits), e.shape[1])))


def pdj(distances: ArrayLike, thresholds: ArrayLike = PDJ_THRESHOLDS) -> Array:
    """PDJ over all joints of all frames together: (N, 19) and (T,) -> (T,).

    NaN where nothing has truth.  The paper's "average" is the mean of the default four.
    """
    d = np.asarray(distances, dtype=np.float64)
    d = d[~np.isnan(d)]
    hits = d[None] <= np.asarray(thresholds, dtype=np.float64)[:, None]
    return _ratio(hits.sum(1), np.full(len(hits), d.size))


def mean_average_precision(errors: ArrayLike, threshold: float = 0.10) -> float:
    """mAP with the 10 cm rule: mean over joints of the share estimated within ``threshold`` metres.

    This is the rule of the depth benchmarks (ITOP and those after it), where one estimate per joint
    stands without a ranking by confidence.
    """
    per_joint = detected_per_joint(errors, [threshold])[0]
    seen = ~np.isnan(per_joint)
    return float(per_joint[seen].mean()) if seen.any() else float("nan")


def mean_error(errors: ArrayLike) -> float:
    """Mean over all joints that have truth and an estimate, in the unit of ``errors``."""
    e = np.asarray(errors, dtype=np.float64)
    e = e[np.isfinite(e)]
    return float(e.mean()) if e.size else float("nan")


def mean_error_per_joint(errors: ArrayLike) -> Array:
    """(N, 19) -> (19,): the mean per joint, NaN for a joint without truth or estimate."""
    e = np.asarray(errors, dtype=np.float64)
    finite = np.isfinite(e)
    return _ratio(np.where(finite, e, 0.0).sum(0), finite.sum(0))


def _distances(estimate: Array, truth: Array, valid: ArrayLike) -> Array:
    trusted = np.asarray(valid, dtype=bool)
    if estimate.shape != truth.shape or trusted.shape != truth.shape[:-1]:
        raise ValueError(
            f"estimate {estimate.shape}, truth {truth.shape} and valid {trusted.shape} "
            "do not belong together"
        )
    distance = np.linalg.norm(estimate - truth, axis=-1)
    missed = ~np.isfinite(estimate).all(-1)
    known = trusted & np.isfinite(truth).all(-1)
    return np.where(known, np.where(missed, np.inf, distance), np.nan)


def _checked(points: ArrayLike, dimensions: int, name: str) -> Array:
    p = np.asarray(points, dtype=np.float64)
    if p.shape[-2:] != (NUM_JOINTS, dimensions):
        raise ValueError(f"{name} must be (..., {NUM_JOINTS}, {dimensions}), got {p.shape}")
    return p


def _ratio(part: NDArray, whole: NDArray) -> Array:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
