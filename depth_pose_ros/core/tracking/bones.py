"""Bone lengths of one person, and corrections of a skeleton by them."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.body_plausibility import bone_lengths
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS, EDGES, FLIP_INDEX, NUM_JOINTS

Array = NDArray[np.float64]

_PARENT = np.array(EDGE_PARENTS)
_CHILD = np.array(EDGE_CHILDREN)
#: Index of the same bone on the other side.
_OTHER_SIDE = np.array([int(np.flatnonzero(FLIP_INDEX[child] == _CHILD)[0]) for child in _CHILD])
_DEGREE = np.bincount(np.concatenate((_PARENT, _CHILD)), minlength=NUM_JOINTS)[:, None]

_WINDOW = 90  # frames
_MIN_CONFIDENCE = 0.3  # of both joints of a bone
_MIN_WEIGHT = 10.0  # sum of confidences (both sides) from which a length is known
#: Standard deviation of a bone length, metres.
_LENGTH_NOISE = 0.02
_ITERATIONS = 4
_STRETCH, _STRETCH_NOISE = 1.3, 0.08  # factor on the known length; metres


def weighted_median(values: Array, weights: Array) -> Array:
    """(N, E) values and weights -> (E,): half of the weight lies at or below it.

    NaN where all weights are 0.
    """
    order = np.argsort(values, axis=0)
    cumulated = np.take_along_axis(weights, order, 0).cumsum(0)
    row = (cumulated < cumulated[-1] / 2).sum(0)
    picked = np.take_along_axis(values, np.take_along_axis(order, row[None], 0), 0)[0]
    return np.where(cumulated[-1] > 0, picked, np.nan)


class Bones:
    """Running weighted medians of one person's bone lengths, left and right together.

    Attributes:
        length: (18,) metres, NaN while unknown.
    """

    def __init__(self) -> None:
        self._values = np.zeros((_WINDOW, len(EDGES)))
        self._weights = np.zeros((_WINDOW, len(EDGES)))
        self._next = 0
        self.length = np.full(len(EDGES), np.nan)

    def update(self, joints: Array, confidence: Array) -> None:
        """Add one frame: (19, 3) metres and (19,) in [0, 1]."""
        sure = np.minimum(confidence[_PARENT], confidence[_CHILD])
        self._values[self._next] = bone_lengths(joints)
        self._weights[self._next] = np.where(sure >= _MIN_CONFIDENCE, sure, 0.0)
        self._next = (self._next + 1) % _WINDOW
        values = np.concatenate((self._values, self._values[:, _OTHER_SIDE]))
        weights = np.concatenate((self._weights, self._weights[:, _OTHER_SIDE]))
        median = weighted_median(values, weights)
        self.length = np.where(weights.sum(0) >= _MIN_WEIGHT, median, np.nan)

    def plausibility(self, joints: Array) -> Array:
        """(19, 3) -> (19,) in [0, 1]: low for joints beyond a bone that is far too long."""
        limit = _STRETCH * self.length
        excess = np.maximum(np.nan_to_num(bone_lengths(joints) - limit), 0.0)
        own = np.exp(-((excess / _STRETCH_NOISE) ** 2))
        result = np.ones(NUM_JOINTS)
        for (parent, child), value in zip(EDGES, own, strict=True):  # parents come first
            result[child] = result[parent] * value
        return result

    def difference(self, joints: Array, confidence: Array) -> float:
        """Mean difference to a skeleton's lengths, metres; 0 while none is known."""
        weight = np.minimum(confidence[_PARENT], confidence[_CHILD])
        weight = np.where(np.isfinite(self.length) & (weight >= _MIN_CONFIDENCE), weight, 0.0)
        off = np.abs(np.nan_to_num(bone_lengths(joints) - self.length))
        return float((weight * off).sum() / max(weight.sum(), 1e-9))

    def pull(self, joints: Array, variance: Array) -> Array:
        """Move joints softly towards the known lengths.

        Every bone is a measurement of its length with deviation 2 cm; joints move along it by
        their share of the variance, so that certain joints stay in place.

        Args:
            joints: (19, 3) metres.
            variance: (19,) square metres, of each joint.

        Returns:
            (19, 3) metres.
        """
        known = np.isfinite(self.length)
        parent, child = variance[_PARENT], variance[_CHILD]
        strength = np.where(known, 1 / (parent + child + _LENGTH_NOISE**2), 0.0)[:, None]
        joints = joints.copy()
        for _ in range(_ITERATIONS):
            bone = joints[_CHILD] - joints[_PARENT]
            norm = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-6)
            excess = (norm - np.nan_to_num(self.length)[:, None]) * bone / norm * strength
            move = np.zeros_like(joints)
            np.add.at(move, _PARENT, parent[:, None] * excess)
            np.add.at(move, _CHILD, -child[:, None] * excess)
            joints += move / _DEGREE
        return joints
