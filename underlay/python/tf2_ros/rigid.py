"""Rigid transforms."""

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray

from tf2_ros.exceptions import InvalidArgumentException

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rigid:
    """p -> rotation * p + translation.

    Attributes:
        rotation: (4,) unit quaternion x, y, z, w.
        translation: (3,) metres.
    """

    rotation: Array
    translation: Array

    @classmethod
    def identity(cls) -> "Rigid":
        """The identity."""
        return cls(np.array((0.0, 0.0, 0.0, 1.0)), np.zeros(3))

    @classmethod
    def from_message(cls, message: TransformStamped) -> "Rigid":
        """Raises InvalidArgumentException: not finite, or not a unit quaternion."""
        q, t = message.transform.rotation, message.transform.translation
        rotation, translation = np.array((q.x, q.y, q.z, q.w)), np.array((t.x, t.y, t.z))
        length = np.linalg.norm(rotation)
        if not np.isfinite(translation).all() or not abs(length - 1.0) < 1e-3:
            raise InvalidArgumentException(
                f"the transform of [{message.child_frame_id}] has translation {translation} and "
                f"rotation {rotation}: it needs finite numbers and a unit quaternion"
            )
        return cls(rotation / length, translation)

    def to_message(self) -> TransformStamped:
        """With an empty header."""
        message = TransformStamped()
        q, t = message.transform.rotation, message.transform.translation
        q.x, q.y, q.z, q.w = self.rotation.tolist()
        t.x, t.y, t.z = self.translation.tolist()
        return message

    def __matmul__(self, first: "Rigid") -> "Rigid":
        """``first``, then this one."""
        return Rigid(
            _multiply(self.rotation, first.rotation),
            _rotate(self.rotation, first.translation) + self.translation,
        )

    def inverse(self) -> "Rigid":
        """The inverse transform."""
        back = self.rotation * (-1.0, -1.0, -1.0, 1.0)
        return Rigid(back, -_rotate(back, self.translation))

    def interpolate(self, other: "Rigid", part: float) -> "Rigid":
        """Between this one (0) and another (1): linear, and the shortest arc."""
        cosine = float(self.rotation @ other.rotation)
        target = other.rotation if cosine >= 0 else -other.rotation
        angle = np.arccos(min(abs(cosine), 1.0))
        if angle < 1e-6:
            weights = (1.0 - part, part)
        else:
            weights = (
                float(np.sin((1.0 - part) * angle) / np.sin(angle)),
                float(np.sin(part * angle) / np.sin(angle)),
            )
        rotation = weights[0] * self.rotation + weights[1] * target
        return Rigid(
            rotation / np.linalg.norm(rotation),
            (1.0 - part) * self.translation + part * other.translation,
        )


def _multiply(a: Array, b: Array) -> Array:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])


def _rotate(rotation: Array, point: Array) -> Array:
    across = 2.0 * np.cross(rotation[:3], point)
    return point + rotation[3] * across + np.cross(rotation[:3], across)
