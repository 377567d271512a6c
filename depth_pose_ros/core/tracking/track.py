"""One person over time."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.body_motion import SPINE, BodyMotion
from depth_pose_ros.core.tracking.bones import Bones
from depth_pose_ros.core.tracking.joint_filter import JointFilter
from depth_pose_ros.core.tracking.measurement import measurement
from depth_pose_ros.core.tracking.sides import Sides

Array = NDArray[np.float64]

#: Seconds in which the confidence in a joint that is not measured fades.
FADE = 0.3
#: Metres: who is found again so far from where they were expected has moved as nobody knows.
_ELSEWHERE = 0.3


class Track:
    """What is known of one person.

    Args:
        pose: as first seen.
        smoothing: see :class:`depth_pose_ros.core.tracking.options.TrackerOptions`.

    Attributes:
        id: the person's number once they are believed in, else None.
        joints: (19, 3) metres, at the time of the last step.
        confidence: (19,) in [0, 1].
        score: in [0, 1].
        age: seconds since first seen.
        unseen: seconds since last seen; 0 right after a measurement.
        last_seen: (19, 3) metres, where that was.
        lost: whether the last frame that was looked at did not show them.
    """

    def __init__(self, pose: Pose, smoothing: float) -> None:
        self.id: int | None = None
        self.age = self.unseen = 0.0
        self.lost = False
        self.score = pose.score
        joints, confidence = measurement(pose, pose.joints[SPINE].mean(0, dtype=np.float64))
        self.confidence = confidence
        self._filter = JointFilter(joints, confidence, smoothing)
        self._body = BodyMotion(joints[SPINE].mean(0))
        self._bones = Bones()
        self._bones.learn(joints, confidence)
        self._sides = Sides()
        self._dt = 0.0
        self.joints = self.last_seen = joints

    def predict(self, dt: float) -> None:
        """Go on by ``dt`` >= 0 seconds."""
        self._dt = dt
        self.age += dt
        self.unseen += dt
        if dt > 0:
            self._filter.predict(dt, self._body.velocity)
            self._body.predict(dt, seen=not self.lost)
        self.joints = self._filter.position

    def see(self, pose: Pose, smoothing: float) -> None:
        """Take in this person's pose, after :meth:`predict`."""
        joints, confidence = measurement(pose, self.joints)
        if self.lost and np.linalg.norm((joints - self.joints)[SPINE].mean(0)) > _ELSEWHERE:
            self._filter = JointFilter(joints, confidence, smoothing)
            self._body = BodyMotion(joints[SPINE].mean(0))
            self.joints = joints
        theirs, own = self._sides.settle(self.joints, joints, confidence, self._dt)
        joints, confidence = joints[theirs], confidence[theirs]
        self._filter.exchange(own)
        self.confidence = self.confidence[own]
        confidence = confidence * self._bones.plausible(joints)
        self._bones.learn(joints, confidence)
        self._filter.smoothing = smoothing
        gain = self._filter.correct(joints, confidence, self._dt)
        self._filter.position = self._bones.pull(self._filter.position, self._filter.variance)
        self._body.correct(joints[SPINE].mean(0))
        remembered = gain * confidence + (1 - gain) * self._faded(self.confidence)
        self.confidence = np.maximum(remembered, np.where(gain > 0, confidence, 0.0))
        self.joints = self.last_seen = self._filter.position
        self.score = pose.score
        self.unseen, self.lost = 0.0, False

    def miss(self) -> None:
        """They were not found in this frame."""
        self.lost = True
        self.confidence = self._faded(self.confidence)
        self.score = float(self._faded(np.array(self.score)))

    def size_difference(self, pose: Pose) -> float:
        """Mean difference of bone lengths, metres."""
        return self._bones.difference(*measurement(pose, self.joints))

    def _faded(self, value: Array) -> Array:
        faded: Array = value * np.exp(-self._dt / FADE)
        return faded
