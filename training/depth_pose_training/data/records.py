"""One sample of each kind, as shards keep them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic.config import Crops

#: How a joint is seen: its own surface lies in front of it; something hides it; outside the image.
VISIBLE, HIDDEN, OUTSIDE = 1, 0, 2
_TORSO = [INDEX[k] for k in ("UpperSpine", "MiddleSpine", "DownSpine", "LeftHip", "RightHip",
                             "LeftShoulder", "RightShoulder")]  # fmt: skip


@dataclass(frozen=True)
class CropSample:
    """One person's crop.

    Attributes:
        depth: (216, 176) int16, millimetres from the frame's z_ref; crops.MISSING where missing.
        frame: (4,) float32, :meth:`depth_pose_ros.core.crops.CropFrame.as_array`.
        joints: (19, 3) float32 metres, camera's optical frame.
        visible: (19,) uint8, VISIBLE, HIDDEN or OUTSIDE.
        mode: how the pose was made ("mocap", "sitting", ...).
        removed: whether the background was removed.
    """

    depth: NDArray[np.int16]
    frame: NDArray[np.float32]
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]
    mode: str
    removed: bool


@dataclass(frozen=True)
class FrameSample:
    """A whole depth image and the people in it.

    Attributes:
        depth: (H, W) float32 metres, 0 where missing.
        camera: its intrinsics.
        joints: (P, 19, 3) float32 metres, optical frame.
        visible: (P, 19) uint8.
    """

    depth: NDArray[np.float32]
    camera: Camera
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]


def usable(joints: NDArray[np.floating], visible: NDArray[np.uint8]) -> bool:
    """Enough of a person to be asked for: some torso and a third of the joints in sight."""
    return bool(
        0.5 < joints[INDEX["MiddleSpine"], 2] < 7
        and (visible == VISIBLE).sum() >= 6
        and (visible[_TORSO] == VISIBLE).sum() >= 1
    )


def crop_around(
    joints: NDArray[np.floating], config: Crops, rng: np.random.Generator
) -> crops.CropFrame:
    """A crop as far beside a person's joints (19, 3), optical frame, as a detector errs."""
    centre = joints[INDEX["MiddleSpine"]].astype(np.float64)
    centre[:2] += rng.uniform(-config.sideways, config.sideways, 2)
    centre[2] += rng.normal(-config.nearer, config.depth_sigma)
    return crops.frame_around(centre)
