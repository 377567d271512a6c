"""The overlay: skeletons drawn over the depth image."""

from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_pose_ros.core.drawing import colorize, draw_skeleton
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros.messages import published_joints

_NEAR, _FAR = 0.5, 6.0  # metres, the lightest and darkest grey; fixed, to avoid flicker


def overlay(
    header: Header, depth: NDArray[np.float32], people: Iterable[Person], min_confidence: float
) -> Image:
    """Depth in grey with the published joints and bones of all people, as a bgr8 image.

    Args:
        header: of the depth image.
        depth: (H, W) metres, 0 where missing.
        people: their ``pixels`` are those of ``depth``.
        min_confidence: joints with lower confidence are not drawn.
    """
    image = colorize(depth, _NEAR, _FAR)
    for person in people:
        pixels = np.full_like(person.pose.pixels, np.nan)
        joints = published_joints(person, min_confidence)
        pixels[joints] = person.pose.pixels[joints]
        draw_skeleton(image, pixels, person.pose.confidence, person.number)
    return Image(
        header=header,
        height=image.shape[0],
        width=image.shape[1],
        encoding="bgr8",
        is_bigendian=0,
        step=image.shape[1] * 3,
        data=array("B", image.tobytes()),  # rclpy copies bytes one by one, an array in one step
    )
