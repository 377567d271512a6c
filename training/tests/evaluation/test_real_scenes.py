"""Real scenes: reading folders, matching in the image, false positives and duplicates."""

import json

import cv2
import numpy as np
import pytest

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data.datasets.base import DatasetError
from depth_pose_training.data.datasets.real_scenes import read_scenes
from depth_pose_training.evaluation import real_scenes

CAMERA = Camera(100.0, 100.0, 40.0, 30.0, 80, 60)
LABELS = {"neck": (40, 15), "Rhip": (37, 35), "Lhip": (43, 35), "Rha": (30, 30)}


@pytest.fixture
def root(tmp_path):
    for scene in ("empty", "person"):
        folder = tmp_path / "validation" / scene
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(json.dumps({"fx": 100, "fy": 100, "cx": 40, "cy": 30}))
        for name in ("0", "1"):
            cv2.imwrite(str(folder / f"{name}.png"), np.full((60, 80), 2500, np.uint16))
    labels = {"frames": {"1": [LABELS]}}
    (tmp_path / "validation/person/hand_labels_2d.json").write_text(json.dumps(labels))
    return tmp_path


def pose(shift=0.0):
    """A pose at the labels, moved to the right by ``shift`` metres."""
    pixels = np.tile((40.0, 25.0), (NUM_JOINTS, 1))
    for name, joint in (("neck", "Neck"), ("Rhip", "RightHip"), ("Lhip", "LeftHip"),
                        ("Rha", "RightHand")):  # fmt: skip
        pixels[INDEX[joint]] = LABELS[name]
    joints = CAMERA.back_project(pixels, np.full(NUM_JOINTS, 2.5)) + (shift, 0, 0)
    return Pose(joints.astype(np.float32), CAMERA.project(joints).astype(np.float32),
                np.ones(NUM_JOINTS, np.float32), 0.9)  # fmt: skip


class Poses:
    def __init__(self, *poses):
        self.poses = poses

    def estimate(self, depth, camera):
        assert camera == CAMERA
        assert depth[0, 0] == pytest.approx(2.5)
        return self.poses


def test_unlabelled_frames_of_scenes_with_people_are_skipped(root):
    frames = list(read_scenes(root, "validation"))
    assert [f.key for f in frames] == ["empty/0", "empty/1", "person/1"]
    assert [len(f.people) for f in frames] == [0, 0, 1]
    with pytest.raises(DatasetError, match="no scenes"):
        list(read_scenes(root, "train"))


def test_matched_duplicate_and_false_positive(root, tmp_path):
    frames = list(read_scenes(root, "validation"))
    results = real_scenes.evaluate(Poses(pose(), pose(0.3), pose(1.0)), frames)
    person = results[-1]
    assert person.match.tolist() == [0, -1, -1]
    assert person.duplicate.tolist() == [False, True, False]
    assert person.false.tolist() == [False, False, True]
    summary = real_scenes.summarize(results)
    assert summary["empty"]["false_positives"] == 6
    assert summary["empty"]["pdj_average"] is None
    assert summary["person"] == {
        "frames": 1, "frames_with_false_positive": 1, "share_with_false_positive": 1.0,
        "false_positives": 1, "false_per_frame": 1.0, "people": 1, "found": 1, "recall": 1.0,
        "duplicates": 1, "frames_with_duplicate": 1, "pdj_20": 1.0, "pdj_average": 1.0,
    }  # fmt: skip
    assert "| person" in real_scenes.table(summary)
    pictures = real_scenes.write_pictures(tmp_path / "pictures", results)
    assert [p.name for p in pictures] == ["empty_0.png", "empty_1.png", "person_1.png"]


def test_missed_person(root):
    frames = list(read_scenes(root, "validation"))[2:]
    summary = real_scenes.summarize(real_scenes.evaluate(Poses(), frames))
    assert summary["all"]["recall"] == 0
    assert summary["all"]["pdj_average"] == 0
