"""Multi-person tracker: poses per frame in, people with persistent ids out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.association import assign, costs, usable, without_duplicates
from depth_pose_ros.core.tracking.options import TrackerOptions
from depth_pose_ros.core.tracking.track import Track

#: Stamps that go back by more than this, seconds, restart the tracker.
MAX_BACKWARD_JUMP = 1.0
_MIN_DEPTH = 0.05  # metres: predicted joints are projected in front of the camera


@dataclass(frozen=True)
class TrackedPose:
    """A tracked person in one frame.

    Attributes:
        id: persistent number; not reused until the tracker is reset.
        pose: filtered; hidden joints follow their motion and the bone lengths.
        age: seconds since the first detection.
        predicted: whether the person was not detected in this frame.
    """

    id: int
    pose: Pose
    age: float
    predicted: bool


class Tracker:
    """Tracks people over frames.

    Args:
        options: defaults if None.

    Attributes:
        options: may be replaced between two frames.
    """

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self.options = options or TrackerOptions()
        self._tracks: list[Track] = []
        self._last: list[TrackedPose] = []
        self._stamp: float | None = None
        self._next_id = 0

    def reset(self) -> None:
        """Delete all tracks; ids start at 0 again."""
        self._tracks, self._stamp, self._next_id = [], None, 0
        self._last = []

    def update(
        self,
        poses: Sequence[Pose],
        stamp: float,
        camera: Camera | None = None,
        min_new_score: float = 0.0,
    ) -> list[TrackedPose]:
        """Process one frame.

        Args:
            poses: in any order.  Poses without enough valid joints are
                ignored, as are duplicates with a lower score.
            stamp: seconds, when the frame was taken.  A frame that is older than the one before
                says nothing about now and changes nothing.  Where time goes back by more than a
                second (a bag that restarts), the tracker is reset.
            camera: intrinsics, for the pixels of the result; without it they are NaN.
            min_new_score: minimum person score for a new track.

        Returns:
            People seen in this frame, or a moment before it, by id; of a late frame those of the
            newest one.

        Raises:
            ValueError: a stamp that is not finite.
        """
        if not math.isfinite(stamp):
            raise ValueError(f"stamp must be a finite number of seconds, got {stamp}")
        if (
            self._tracks
            and self._stamp is not None
            and -MAX_BACKWARD_JUMP <= stamp - self._stamp < 0
        ):
            return self._last
        dt = self._step(stamp)
        for track in self._tracks:
            track.predict(dt)
        self._tracks = [t for t in self._tracks if t.unseen <= self._max_age(t)]
        seen = without_duplicates([pose for pose in poses if usable(pose)])
        matched = assign(costs(self._tracks, seen, self.options.confirm_score))
        unmatched = set(range(len(seen))) - {j for _, j in matched}
        missed = set(range(len(self._tracks))) - {i for i, _ in matched}
        for i, j in matched:
            self._tracks[i].update(seen[j], self.options.smoothing)
            self._confirm(self._tracks[i], min_new_score)
        for i in missed:
            self._tracks[i].miss()
        for j in sorted(unmatched):
            if seen[j].score >= min_new_score:
                track = Track(seen[j], self.options.smoothing)
                self._tracks.append(track)
                self._confirm(track, min_new_score)
        self._last = [
            TrackedPose(track.id, _pose(track, camera), track.age, track.lost)
            for track in sorted(self._tracks, key=lambda t: -1 if t.id is None else t.id)
            if track.id is not None and track.unseen <= self.options.predict_time
        ]
        return self._last

    def _step(self, stamp: float) -> float:
        """Seconds since the frame before, 0 for the first."""
        dt = 0.0 if self._stamp is None else stamp - self._stamp
        if dt < -MAX_BACKWARD_JUMP:
            self.reset()
        self._stamp = stamp
        return max(dt, 0.0)

    def _max_age(self, track: Track) -> float:
        """Maximum time without detection: short for unconfirmed tracks."""
        return self.options.max_age if track.id is not None else min(0.5, self.options.max_age)

    def _confirm(self, track: Track, min_score: float) -> None:
        """Give a track an id once its detections are sufficient: the lower their mean score, the
        longer they have to last."""
        lacking = self.options.confirm_score - track.mean_score
        span = max(self.options.confirm_score - min_score, 1e-6)
        time = self.options.confirm_time * lacking / span - 1e-6
        sufficient = lacking <= 0 or (track.detections > 1 and track.age >= time)
        if track.id is None and track.mean_score >= min_score and sufficient:
            track.id, self._next_id = self._next_id, self._next_id + 1


def _pose(track: Track, camera: Camera | None) -> Pose:
    joints = track.joints.astype(np.float32)
    if camera is None:
        pixels = np.full((len(joints), 2), np.nan, dtype=np.float32)
    else:
        ahead = np.maximum(joints, (-np.inf, -np.inf, _MIN_DEPTH))
        pixels = camera.project(ahead).astype(np.float32)
    return Pose(joints, pixels, track.confidence.astype(np.float32), track.score)
