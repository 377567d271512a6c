"""The state of one tracked person."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.body_motion import BodyMotion
from depth_pose_ros.core.tracking.bones import Bones
from depth_pose_ros.core.tracking.joint_filter import JointFilter
from depth_pose_ros.core.tracking.measurement import SPINE, measurement
from depth_pose_ros.core.tracking.sides import Sides

Array = NDArray[np.float64]

#: Time constant, seconds, with which the confidence of an unmeasured joint decays.
CONFIDENCE_DECAY = 0.3
#: Metres from the prediction beyond which a person detected again restarts the filters.
_RESTART_DISTANCE = 0.3


class Track:
    """Filtered joints, bone lengths and motion of one person.

    Args:
        pose: as first seen.
        smoothing: see :class:`depth_pose_ros.core.tracking.options.TrackerOptions`.

    Attributes:
        id: number of the person, None until the track is confirmed.
        joints: (19, 3) metres, at the time of the last frame.
        confidence: (19,) in [0, 1].
        score: in [0, 1], of the last detection; decays without.
        mean_score: in [0, 1], over all detections.
        detections: number of detections.
        age: seconds since the first detection.
        unseen: seconds since the last detection.
        last_seen: (19, 3) metres, joints at the last detection.
        lost: whether the person was not detected in the last frame.
    """

    def __init__(self, pose: Pose, smoothing: float) -> None:
        self.id: int | None = None
        self.age = self.unseen = 0.0
        self.lost = False
        self.score = self.mean_score = pose.score
        self.detections = 1
        joints, confidence = measurement(pose, pose.joints[SPINE].mean(0, dtype=np.float64))
        self.confidence = confidence
        self._filter = JointFilter(joints, confidence, smoothing)
        self._body = BodyMotion(joints[SPINE].mean(0))
        self._bones = Bones()
        self._bones.update(joints, confidence)
        self._sides = Sides()
        self._dt = 0.0
        self.joints = self.last_seen = joints

    def predict(self, dt: float) -> None:
        """Advance by ``dt`` >= 0 seconds."""
        self._dt = dt
        self.age += dt
        self.unseen += dt
        if dt > 0:
            self._filter.predict(dt, self._body.velocity)
            self._body.predict(dt, seen=not self.lost)
        self.joints = self._filter.position

    def update(self, pose: Pose, smoothing: float) -> None:
        """Update with a pose of this person, after :meth:`predict`."""
        joints, confidence = measurement(pose, self.joints)
        if self.lost and np.linalg.norm((joints - self.joints)[SPINE].mean(0)) > _RESTART_DISTANCE:
            self._filter = JointFilter(joints, confidence, smoothing)
            self._body = BodyMotion(joints[SPINE].mean(0))
            self.joints = joints
        pose_order, track_order = self._sides.match(self.joints, joints, confidence, self._dt)
        joints, confidence = joints[pose_order], confidence[pose_order]
        self._filter.reorder(track_order)
        self.confidence = self.confidence[track_order]
        confidence = confidence * self._bones.plausibility(joints)
        self._bones.update(joints, confidence)
        self._filter.smoothing = smoothing
        gain = self._filter.correct(joints, confidence, self._dt)
        self._filter.position = self._bones.pull(self._filter.position, self._filter.variance)
        self._body.correct(joints[SPINE].mean(0))
        blended = gain * confidence + (1 - gain) * self._decayed(self.confidence)
        self.confidence = np.maximum(blended, np.where(gain > 0, confidence, 0.0))
        self.joints = self.last_seen = self._filter.position
        self.score = pose.score
        self.detections += 1
        self.mean_score += (pose.score - self.mean_score) / self.detections
        self.unseen, self.lost = 0.0, False

    def miss(self) -> None:
        """Update for a frame in which the person was not detected."""
        self.lost = True
        self.confidence = self._decayed(self.confidence)
        self.score = float(self._decayed(np.array(self.score)))

    def size_difference(self, pose: Pose) -> float:
        """Mean difference of bone lengths, metres."""
        return self._bones.difference(*measurement(pose, self.joints))

    def _decayed(self, value: Array) -> Array:
        decayed: Array = value * np.exp(-self._dt / CONFIDENCE_DECAY)
        return decayed
