"""Transforms people from the camera's frame to another one, by TF."""

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
from depth_pose_ros.ros import log_messages


def frame_name(name: str) -> str:
    """A frame's name as tf2 has it: no leading slash, as in ROS 1, and no empty parts."""
    return "/".join(part for part in name.strip().split("/") if part)


class FrameError(Exception):
    """The transform is not available; the message says why and what to do."""


class TargetFrame:
    """Listens to TF and transforms people into one frame.

    Args:
        node: owner of the subscriptions; spun by another thread than that of :meth:`transform`.
        name: of the frame, also with a leading slash.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.name = frame_name(name)
        # Without the node: a buffer that has it waits by the node's clock, without end if simulated
        # time does not advance.
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node)

    def close(self) -> None:
        """Unsubscribe."""
        self._listener.unregister()

    def clear(self) -> None:
        """Discard all moving frames: after a jump back in time, TF ignores new transforms."""
        self._buffer.clear()

    def transform(
        self, header: Header, people: Iterable[Person], timeout: float
    ) -> tuple[Header, list[Person]]:
        """People in the frame of ``header``, at its time -> the same in the target frame.

        Args:
            header: of the image.
            people: in its frame.
            timeout: seconds to wait for the transform.

        Returns:
            a header with the same stamp and the target frame, and the people.

        Raises:
            FrameError: no such transform in time.
        """
        target_header = Header(stamp=header.stamp, frame_id=self.name)
        if header.frame_id == self.name:
            return target_header, list(people)
        if not header.frame_id:
            raise FrameError(log_messages.NO_SOURCE_FRAME.format(target=self.name))
        stamp = Time.from_msg(header.stamp)
        try:
            transform = self._buffer.lookup_transform(
                self.name, header.frame_id, stamp, Duration(seconds=timeout)
            )
        except TransformException as error:
            raise FrameError(
                log_messages.NO_TRANSFORM.format(
                    source=header.frame_id, target=self.name, error=error
                )
            ) from error
        return target_header, [_transform_person(person, transform) for person in people]


def _transform_person(person: Person, transform: TransformStamped) -> Person:
    """Transform the joints; the rest is unchanged."""
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
