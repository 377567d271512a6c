"""The tracker: poses of one frame after the other in, people with lasting ids out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.association import assign, costs, usable, without_duplicates
from depth_pose_ros.core.tracking.options import TrackerOptions
from depth_pose_ros.core.tracking.track import Track

#: A frame may be so late, seconds, or a clock be put back; farther back is another time.
LATE = 1.0
_NEAREST = 0.05  # metres: a predicted joint may lie beside the camera, where there are no pixels


@dataclass(frozen=True)
class TrackedPose:
    """A person in one frame.

    Attributes:
        id: number that stays with the person; never given twice until the tracker is reset.
        pose: filtered; joints that are hidden lean on their motion and on bone lengths.
        age: seconds since the person was first seen.
        predicted: not found in this frame, but a moment ago.
    """

    id: int
    pose: Pose
    age: float
    predicted: bool


class Tracker:
    """Follows people from frame to frame.

    Args:
        settings: defaults where None.

    Attributes:
        settings: may be replaced between two frames.
    """

    def __init__(self, settings: TrackerOptions | None = None) -> None:
        self.settings = settings or TrackerOptions()
        self._tracks: list[Track] = []
        self._last: list[TrackedPose] = []
        self._stamp: float | None = None
        self._next_id = 0

    def reset(self) -> None:
        """Forget everybody; ids begin at 0 again."""
        self._tracks, self._stamp, self._next_id = [], None, 0
        self._last = []

    def update(
        self, poses: Sequence[Pose], stamp: float, camera: Camera | None = None
    ) -> list[TrackedPose]:
        """Take in one frame.

        Args:
            poses: everybody found in it, in any order.  Poses without enough finite joints are
                left out, and of several on one person all but the surest.
            stamp: seconds, when the frame was taken.  A frame that is older than the one before
                says nothing about now and changes nothing.  Where time goes back by more than a
                second (a bag that starts again), the tracker begins anew.
            camera: the frame's, for the pixels of what comes back; without it they are NaN.

        Returns:
            People seen in this frame, or a moment before it, by id; of a late frame those of the
            newest one.

        Raises:
            ValueError: a stamp that is not finite.
        """
        if not math.isfinite(stamp):
            raise ValueError(f"stamp must be a finite number of seconds, got {stamp}")
        if self._stamp is not None and -LATE <= stamp - self._stamp < 0:
            return self._last
        dt = self._step(stamp)
        for track in self._tracks:
            track.predict(dt)
        self._tracks = [t for t in self._tracks if t.unseen <= self._patience(t)]
        seen = without_duplicates([pose for pose in poses if usable(pose)])
        matched = assign(costs(self._tracks, seen, self.settings.confirm_score))
        newcomers = set(range(len(seen))) - {j for _, j in matched}
        missed = set(range(len(self._tracks))) - {i for i, _ in matched}
        for i, j in matched:
            self._tracks[i].see(seen[j], self.settings.smoothing)
            self._name(self._tracks[i])
        for i in missed:
            self._tracks[i].miss()
        for j in sorted(newcomers):
            track = Track(seen[j], self.settings.smoothing)
            self._tracks.append(track)
            if seen[j].score >= self.settings.confirm_score:
                self._name(track)
        self._last = [
            TrackedPose(track.id, _pose(track, camera), track.age, track.lost)
            for track in sorted(self._tracks, key=lambda t: -1 if t.id is None else t.id)
            if track.id is not None and track.unseen <= self.settings.predict_time
        ]
        return self._last

    def _step(self, stamp: float) -> float:
        """Seconds since the frame before, 0 for the first."""
        dt = 0.0 if self._stamp is None else stamp - self._stamp
        if dt < -LATE:
            self.reset()
        self._stamp = stamp
        return max(dt, 0.0)

    def _patience(self, track: Track) -> float:
        """Somebody seen only once, and unsure, is not waited for long."""
        return self.settings.max_age if track.id is not None else min(0.5, self.settings.max_age)

    def _name(self, track: Track) -> None:
        if track.id is None:
            track.id, self._next_id = self._next_id, self._next_id + 1


def _pose(track: Track, camera: Camera | None) -> Pose:
    joints = track.joints.astype(np.float32)
    if camera is None:
        pixels = np.full((len(joints), 2), np.nan, dtype=np.float32)
    else:
        ahead = np.maximum(joints, (-np.inf, -np.inf, _NEAREST))
        pixels = camera.project(ahead).astype(np.float32)
    return Pose(joints, pixels, track.confidence.astype(np.float32), track.score)
