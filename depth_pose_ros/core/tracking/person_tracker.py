"""Who is who: the one place that numbers people."""

from collections.abc import Sequence
from dataclasses import dataclass

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking import Tracker, TrackerOptions


@dataclass(frozen=True)
class Person:
    """A pose with the person's number: not negative, unique in its frame."""

    number: int
    pose: Pose


class PersonTracker:
    """Numbers people frame by frame, by tracking them or without."""

    def __init__(self) -> None:
        self._tracker = Tracker()

    def reset(self) -> None:
        """Forget everybody."""
        self._tracker.reset()

    def people(
        self,
        poses: Sequence[Pose],
        stamp: float,
        camera: Camera,
        settings: TrackerOptions | None,
    ) -> list[Person]:
        """The people of one frame.

        Args:
            poses: as estimated.
            stamp: seconds, of the depth image.
            camera: its intrinsics.
            settings: of the tracker; None takes the frame by itself, as :func:`identify`.
        """
        if settings is None:
            self.reset()
            return identify(poses)
        self._tracker.settings = settings
        return [
            Person(tracked.id, tracked.pose)
            for tracked in self._tracker.update(poses, stamp, camera)
        ]


def identify(poses: Sequence[Pose]) -> list[Person]:
    """Number the people of one frame from left to right.

    Each frame is taken by itself, so a number stays with a person only as long as nobody comes,
    goes or crosses.  The image's left-to-right order changes less often than the order of score or
    of distance.
    """
    ordered = sorted(poses, key=lambda pose: float(pose.joints[:, 0].mean()))
    return [Person(number, pose) for number, pose in enumerate(ordered)]
