"""Labelled frames with people at known positions, and an estimator that returns given poses."""

import numpy as np

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data.datasets.base import LabelledFrame, LabelledPerson

CAMERA = Camera(100.0, 100.0, 40.0, 30.0, 80, 60)
TORSO = {
    "UpperSpine": (0.0, -0.5),
    "DownSpine": (0.0, 0.0),
    "RightShoulder": (-0.2, -0.5),
    "LeftShoulder": (0.2, -0.5),
    "RightHip": (-0.1, 0.0),
    "LeftHip": (0.1, 0.0),
}


def pose(joints, score=1.0):
    """A pose with the given joints (19, 3) in metres; NaN joints are put at the neck."""
    joints = np.where(np.isnan(joints), (0.0, -0.55, 2.8), joints)
    return Pose(
        joints.astype(np.float32),
        CAMERA.project(joints).astype(np.float32),
        np.ones(NUM_JOINTS, dtype=np.float32),
        score,
    )


def scene(people, counted=None):
    """A frame with people at the given x in metres; the first is the labelled one."""
    body = np.random.default_rng(1).uniform((-0.4, -0.6, 2.5), (0.4, 0.6, 3.0), (NUM_JOINTS, 3))
    for joint, (x, y) in TORSO.items():
        body[INDEX[joint]] = (x, y, 2.8)
    body[INDEX["MiddleSpine"]] = (0, -0.2, 2.8)
    joints = np.array([body + (x, 0, 0) for x in people]).reshape(-1, NUM_JOINTS, 3)
    counts = [True, *(counted or [True] * len(people))]
    valid = np.ones(NUM_JOINTS, bool)
    labelled = tuple(
        LabelledPerson(j, CAMERA.project(j), valid, c) for j, c in zip(joints, counts, strict=False)
    )
    depth = np.full((60, 80), 3, np.float32)
    return LabelledFrame(depth, CAMERA, labelled, "scene"), body


class FixedPoses:
    """An estimator that returns people at the given x, with decreasing score."""

    def __init__(self, body, *positions):
        self.poses = [pose(body + (x, 0, 0), 1 - 0.1 * i) for i, x in enumerate(positions)]

    def estimate(self, depth, camera):
        return self.poses
