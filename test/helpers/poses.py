"""A synthetic person for tests."""

import numpy as np

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import JOINTS

CAMERA = Camera(fx=365.0, fy=365.0, cx=256.0, cy=212.0, width=512, height=424)

#: Metres from the point between the hips: to the person's left, up.
_STANDING = {
    "Head": (0.0, 0.70),
    "Neck": (0.0, 0.55),
    "UpperSpine": (0.0, 0.48),
    "MiddleSpine": (0.0, 0.25),
    "DownSpine": (0.0, 0.0),
    "LeftShoulder": (0.20, 0.45),
    "LeftElbow": (0.25, 0.18),
    "LeftWrist": (0.27, -0.05),
    "LeftHand": (0.27, -0.12),
    "LeftHip": (0.10, 0.0),
    "LeftKnee": (0.11, -0.42),
    "LeftFoot": (0.12, -0.82),
}


def standing(x: float = 0.0, z: float = 2.5, confidence: float = 0.9, yaw: float = 0.0) -> Pose:
    """A person standing at (x, 0, z) metres, optical frame; faces the camera if ``yaw`` is 0."""
    joints = []
    for name in JOINTS:
        left, up = _STANDING[name.replace("Right", "Left")]
        left = -left if name.startswith("Right") else left
        joints.append((x + left * np.cos(yaw), -up, z + left * np.sin(yaw)))
    points = np.array(joints, dtype=np.float32)
    return Pose(
        joints=points,
        pixels=CAMERA.project(points).astype(np.float32),
        confidence=np.full(len(JOINTS), confidence, dtype=np.float32),
        score=confidence,
    )
