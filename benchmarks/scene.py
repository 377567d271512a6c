"""The frame of all benchmarks: a Kinect v2 image of the built-in clip with two people."""

from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.sources.clip import builtin_clip


@lru_cache(maxsize=1)
def kinect_frame() -> tuple[NDArray[np.float32], Camera]:
    """The depth image (424, 512) in metres and its intrinsics."""
    clip = builtin_clip()
    frame = next(islice(clip, 30, None))
    return frame.depth.astype(np.float32) / np.float32(1000), clip.camera
