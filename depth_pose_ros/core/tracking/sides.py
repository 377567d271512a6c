"""Correction of swapped left and right limbs.

A network that sees one frame at a time may name a limb for the other side.  Limbs are
swapped if they then fit the prediction of the track much better.  If that persists, the track was
wrong and its joints are swapped instead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import FLIP_INDEX, INDEX, NUM_JOINTS

Array = NDArray[np.float64]
Order = NDArray[np.int64]

#: From the root outwards; all joints from one of them on may be swapped.
_LIMBS = (("Shoulder", "Elbow", "Wrist", "Hand"), ("Hip", "Knee", "Foot"))
_MAX_JOINT_COST = 0.5  # metres, of a single joint
_FACTOR, _MARGIN = 0.6, 0.04  # required reduction of the cost: factor, and metres
_MAX_SWAP_TIME = 0.8  # seconds of swapped measurements after which the track is swapped


@dataclass(frozen=True)
class _Limb:
    """Joints (left and right) that may be swapped, and the permutation."""

    joints: Order
    order: Order


def _limb(names: tuple[str, ...]) -> _Limb:
    joints = np.array([INDEX[side + name] for side in ("Left", "Right") for name in names])
    order = np.arange(NUM_JOINTS)
    order[joints] = np.array(FLIP_INDEX)[joints]
    return _Limb(joints, order)


_PAIRS = tuple(tuple(_limb(names[i:]) for i in range(len(names))) for names in _LIMBS)


class Sides:
    """Watches one person's arms and legs."""

    def __init__(self) -> None:
        self._against = [0.0] * len(_PAIRS)  # seconds

    def match(
        self, predicted: Array, joints: Array, confidence: Array, dt: float
    ) -> tuple[Order, Order]:
        """Which side is which.

        Args:
            predicted: (19, 3) metres, where the track expects its joints.
            joints: (19, 3) metres, as measured.
            confidence: (19,) in [0, 1].
            dt: seconds since the measurement before.

        Returns:
            Two renamings (19,), most often the identity: joint i of the measurement is what
            ``measurement[i]`` was, joint i of the track what ``track[i]`` was.
        """
        measurement, track = np.arange(NUM_JOINTS), np.arange(NUM_JOINTS)
        for i, choices in enumerate(_PAIRS):
            best, gain, ambiguous = None, 0.0, True
            for limb in choices:
                kept = _cost(predicted, joints, confidence, limb.joints)
                order = limb.order
                exchanged = _cost(predicted, joints[order], confidence[order], limb.joints)
                improvement = (_FACTOR * kept - _MARGIN - exchanged) * len(limb.joints)
                if improvement > gain:
                    best, gain = limb, improvement
                ambiguous &= _FACTOR * exchanged - _MARGIN < kept
            if best is None:
                # Limbs that are together say nothing about who is who.
                self._against[i] = self._against[i] if ambiguous else 0.0
                continue
            self._against[i] += dt
            if self._against[i] > _MAX_SWAP_TIME:
                self._against[i] = 0.0
                track = track[best.order]
            else:
                measurement = measurement[best.order]
        return measurement, track


def _cost(predicted: Array, joints: Array, confidence: Array, which: Order) -> float:
    """Mean distance of some joints, metres, weighted by confidence and bounded."""
    distance = np.linalg.norm(joints[which] - predicted[which], axis=1)
    weight = confidence[which]
    return float((weight * np.minimum(distance, _MAX_JOINT_COST)).sum() / max(weight.sum(), 1e-9))
