"""Positions of people and their association with estimates."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import SPINE_AND_HIPS

Array = NDArray[np.float64]

#: An estimate belongs to a person if their torso centres are at most this far apart, metres.
MATCH_DISTANCE = 0.5


def torso_centre(joints: NDArray[np.floating]) -> Array:
    """(19, 3) joints -> (3,) mean of the known joints of the torso; NaN if none is known."""
    torso = joints[list(SPINE_AND_HIPS)]
    known = torso[np.isfinite(torso).all(-1)]
    return known.mean(0).astype(np.float64) if len(known) else np.full(3, np.nan)


def match_people(estimates: Array, people: Array) -> NDArray[np.int64]:
    """Greedy one-to-one matching by distance, at most :data:`MATCH_DISTANCE`.

    Args:
        estimates: (N, 3) metres.
        people: (P, 3) metres, NaN for unknown positions.

    Returns:
        (N,) indices of people, -1 for false positives.
    """
    match = np.full(len(estimates), -1, dtype=np.int64)
    if not len(estimates) or not len(people):
        return match
    distance = np.linalg.norm(estimates[:, None] - people[None], axis=-1)
    distance = np.where(distance <= MATCH_DISTANCE, distance, np.inf)
    for _ in range(min(distance.shape)):
        i, k = np.unravel_index(distance.argmin(), distance.shape)
        if not np.isfinite(distance[i, k]):
            break
        match[i] = k
        distance[i], distance[:, k] = np.inf, np.inf
    return match
