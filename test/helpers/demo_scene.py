"""A small moving scene for the tests of the demo."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera

#: Field of view of a Kinect v2 at a quarter of its resolution.
CAMERA = Camera(fx=91.0, fy=91.5, cx=63.5, cy=52.25, width=128, height=106)
CAMERA_YAML = "fx: 91.0\nfy: 91.5\ncx: 63.5\ncy: 52.25\nwidth: 128\nheight: 106\n"


def scene(index: int = 0) -> NDArray[np.uint16]:
    """(106, 128) uint16 mm: a wall at 3 m, a block at 2 m that moves with ``index``, a hole."""
    depth = np.full((CAMERA.height, CAMERA.width), 3000, np.uint16)
    left = 30 + 2 * index % 60
    depth[20:95, left : left + 20] = 2000 + np.arange(20, dtype=np.uint16)
    depth[:10, :10] = 0
    return depth


def scenes(count: int) -> list[NDArray[np.uint16]]:
    """The first frames of the scene."""
    return [scene(i) for i in range(count)]
