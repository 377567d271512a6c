"""People from the camera's frame to another one, by TF."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header
from tf2_ros import Buffer, TransformException, TransformListener

from depth_pose_ros.core.tracking.person_tracker import Person

#: Seconds to wait for a transform.  TF of the image's time has had the inference's time to come, so
#: what is still missing then is late or does not exist.
PATIENCE = 0.1


class FrameError(Exception):
    """The transform cannot be had; the message says why and what to do."""


class TargetFrame:
    """Listens to TF and moves people into one frame.

    Args:
        node: what the subscriptions belong to; another thread than that of :meth:`place` spins it.
        name: the frame.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        # Without the node: a buffer that has it waits by the node's clock, for ever where simulated
        # time stands still.
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node)

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()

    def clear(self) -> None:
        """Forget all moving frames: after time has jumped back, TF takes news for old."""
        self._buffer.clear()

    def place(self, header: Header, people: Iterable[Person]) -> tuple[Header, list[Person]]:
        """People in the frame of ``header``, at its time -> the same in the target frame.

        Returns:
            a header with the same stamp and the target frame, and the people.

        Raises:
            FrameError: no such transform within :data:`PATIENCE`.
        """
        placed = Header(stamp=header.stamp, frame_id=self.name)
        if header.frame_id == self.name:
            return placed, list(people)
        if not header.frame_id:
            raise FrameError(
                f"without a frame_id in the depth image nothing can be moved to '{self.name}'"
            )
        stamp = Time.from_msg(header.stamp)
        try:
            transform = self._buffer.lookup_transform(
                self.name, header.frame_id, stamp, Duration(seconds=PATIENCE)
            )
        except TransformException as error:
            raise FrameError(
                f"no transform from '{header.frame_id}' to target_frame '{self.name}' at the "
                f"image's time: {error}.  Is it published?  Try `ros2 run tf2_ros tf2_echo "
                f"{self.name} {header.frame_id}`"
            ) from error
        return placed, [moved(person, transform) for person in people]


def moved(person: Person, transform: TransformStamped) -> Person:
    """A person's joints under a transform; all else stays."""
    t = transform.transform.translation
    joints = person.pose.joints @ rotation_matrix(transform.transform.rotation).T + (t.x, t.y, t.z)
    return replace(person, pose=replace(person.pose, joints=joints.astype(np.float32)))


def rotation_matrix(q: Quaternion) -> NDArray[np.float64]:
    """A unit quaternion -> (3, 3)."""
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    )
