"""Who is who: the one place that numbers people."""

from collections.abc import Sequence
from dataclasses import dataclass

from depth_pose_ros.pose import Pose


@dataclass(frozen=True)
class Person:
    """A pose with the person's number: small, not negative, unique in its frame."""

    number: int
    pose: Pose


def identify(poses: Sequence[Pose]) -> list[Person]:
    """Number the people of one frame from left to right.

    Each frame is taken by itself, so a number stays with a person only as long as nobody comes,
    goes or crosses.  The image's left-to-right order changes less often than the order of score or
    of distance.
    """
    ordered = sorted(poses, key=lambda pose: float(pose.joints[:, 0].mean()))
    return [Person(number, pose) for number, pose in enumerate(ordered)]
