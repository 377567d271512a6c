"""The shipped weights, on the demo's clip and on real depth images."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_ros.demo.sources.clip import builtin_clip

TRUNK = [INDEX[k] for k in ("Neck", "UpperSpine", "MiddleSpine", "DownSpine")]


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator.from_pretrained(device="cpu")


def lies_under_skin(pose: Pose, depth: np.ndarray, joint: int) -> bool:
    """Whether the surface measured at a joint's pixel lies just in front of the joint."""
    u, v = pose.pixels[joint].round().astype(int)
    if not (2 <= v < depth.shape[0] - 2 and 2 <= u < depth.shape[1] - 2):
        return False
    patch = depth[v - 2 : v + 3, u - 2 : u + 3]
    seen = patch[patch > 0]
    return bool(len(seen)) and -0.05 < pose.joints[joint, 2] - float(np.median(seen)) < 0.3


def test_both_people_of_the_clip_are_upright(estimator: PoseEstimator) -> None:
    clip = builtin_clip()
    for frame in islice(clip, 0, 21, 20):
        depth = frame.depth.astype(np.float32) / 1000
        poses = estimator.estimate(depth, clip.camera)
        assert len(poses) == 2
        for pose in poses:
            assert all(lies_under_skin(pose, depth, k) for k in TRUNK)
            y = pose.joints[:, 1]  # down
            assert y[INDEX["Head"]] < y[INDEX["UpperSpine"]] < y[INDEX["DownSpine"]]
            assert y[INDEX["DownSpine"]] < y[INDEX["LeftFoot"]]


def test_paper_model_detects_both_people_of_the_clip() -> None:
    clip = builtin_clip()
    frame = next(iter(clip))
    poses = PoseEstimator.from_pretrained("paper", device="cpu").estimate(
        frame.depth.astype(np.float32) / 1000, clip.camera
    )
    assert len(poses) == 2
    for pose in poses:
        y = pose.joints[:, 1]  # down
        assert y[INDEX["Head"]] < y[INDEX["UpperSpine"]] < y[INDEX["DownSpine"]]
        assert y[INDEX["DownSpine"]] < y[INDEX["LeftFoot"]]


@pytest.mark.parametrize("distance", [1.5, 3.0])
def test_empty_room_has_no_detections(estimator: PoseEstimator, distance: float) -> None:
    camera = Camera(365.0, 365.0, 255.5, 211.5, 512, 424)
    v = np.arange(424)[:, None] - camera.cy
    floor = np.where(v > 20, 1.2 * camera.fy / np.maximum(v, 1), np.inf)
    wall = np.full((424, 512), distance)
    assert estimator.estimate(np.minimum(floor, wall).astype(np.float32), camera) == []


def test_five_real_people(estimator: PoseEstimator, shared_data: Path) -> None:
    image = cv2.imread(str(shared_data / "scenes" / "five_people_depth_mm.png"), -1)
    depth = image.astype(np.float32) / 1000
    poses = estimator.estimate(depth, Camera(525.0, 525.0, 319.5, 239.5, 640, 480))
    good = [p for p in poses if sum(lies_under_skin(p, depth, k) for k in TRUNK) >= 3]
    assert len(good) == len(poses)  # none on furniture
    assert len(good) >= 4
