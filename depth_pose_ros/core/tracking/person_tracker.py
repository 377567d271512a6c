"""People with numbers: tracked over frames, or numbered frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking import Tracker, TrackerOptions


@dataclass(frozen=True)
class Person:
    """A pose with a person's number: non-negative, unique in its frame."""

    number: int
    pose: Pose


class PersonTracker:
    """Assigns numbers to people, with or without tracking."""

    def __init__(self) -> None:
        self._tracker = Tracker()

    def reset(self) -> None:
        """Delete all tracks."""
        self._tracker.reset()

    def people(
        self,
        poses: Sequence[Pose],
        stamp: float,
        camera: Camera,
        options: TrackerOptions | None,
        min_new_score: float = 0.0,
    ) -> list[Person]:
        """The people of one frame.

        Args:
            poses: as estimated.
            stamp: seconds, of the depth image.
            camera: its intrinsics.
            options: of the tracker; None numbers each frame by itself, as :func:`identify`.
            min_new_score: minimum person score; people who are already tracked may have less.
        """
        if options is None:
            self.reset()
            return identify([pose for pose in poses if pose.score >= min_new_score])
        self._tracker.options = options
        return [
            Person(tracked.id, tracked.pose)
            for tracked in self._tracker.update(poses, stamp, camera, min_new_score)
        ]


def identify(poses: Sequence[Pose]) -> list[Person]:
    """Number the people of one frame from left to right.

    A number stays with a person only while people do not enter, leave or cross.  Left-to-right
    order changes less often than the order of score or distance.
    """
    ordered = sorted(poses, key=lambda pose: float(pose.joints[:, 0].mean()))
    return [Person(number, pose) for number, pose in enumerate(ordered)]
