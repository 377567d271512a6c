"""Pictures, animation and Rerun recording."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_pose_ros.core.drawing import LEFT, MIDDLE, RIGHT, Person
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_ros.demo.recording import RecordedFrame
from depth_pose_ros.demo.viewers import rerun as rerun_view
from depth_pose_ros.demo.viewers.pictures import (
    ANIMATION,
    HEIGHT,
    STILLS,
    render,
    view_of,
    write_pictures,
)
from helpers.demo_scene import CAMERA, scene
from helpers.poses import CAMERA as WIDE_CAMERA
from helpers.poses import standing


def frame(index: int, people: int = 1) -> RecordedFrame:
    poses = [standing(x=0.3 * i, z=2.2) for i in range(people)]
    found = [Person(pose.joints, pose.confidence, i) for i, pose in enumerate(poses)]
    return RecordedFrame(index * 66_000_000, scene(index), found)


def test_skeletons_are_drawn_at_the_projected_joints():
    frames = [frame(0)]
    image = render(frames[0], CAMERA, view_of(frames))
    scale = HEIGHT / CAMERA.height
    for joint, color in (("LeftElbow", LEFT), ("RightKnee", RIGHT)):
        u, v = CAMERA.project(frames[0].people[0].joints[INDEX[joint]])
        assert tuple(image[round((v + 0.5) * scale), round((u + 0.5) * scale)]) == color


def test_stills_and_animation_are_written(tmp_path):
    frames = [frame(i, people=0 if i < 4 else 2) for i in range(20)]
    files = write_pictures(tmp_path, frames, CAMERA)
    assert [file.name for file in files] == [
        *(f"frame_{i:04d}.png" for i in range(1, STILLS + 1)),
        ANIMATION,
    ]
    stills = [cv2.imread(str(file)) for file in files[:-1]]
    assert all(still.shape == stills[0].shape for still in stills)
    # Stills show frames with people.
    saturation = [np.ptp(still.astype(int), axis=2).max() for still in stills]
    assert min(saturation) > 100
    with Image.open(files[-1]) as animation:
        assert animation.n_frames == 20
        assert animation.info["duration"] in (60, 70)  # GIF counts in hundredths of a second
        animation.seek(15)
        colors = set(
            np.asarray(animation.convert("RGB")).reshape(-1, 3).view("V3").ravel().tolist()
        )
    for side in (LEFT, RIGHT, MIDDLE):
        assert bytes(reversed(side)) in colors


def test_few_or_empty_frames(tmp_path):
    assert write_pictures(tmp_path, [], CAMERA) == []
    assert len(write_pictures(tmp_path, [frame(0, people=0)], CAMERA)) == 2
    assert len(write_pictures(tmp_path, [frame(0), frame(1)], CAMERA)) == 3
    blind = RecordedFrame(0, np.zeros_like(scene()), [])
    assert len(write_pictures(tmp_path, [blind], CAMERA)) == 2


def recorded(stamp: int, *people: Person) -> RecordedFrame:
    depth = np.full((WIDE_CAMERA.height, WIDE_CAMERA.width), 3000, np.uint16)
    return RecordedFrame(stamp, depth, list(people))


def skeleton(number: int) -> Person:
    pose = standing(x=0.4 * number)
    joints = pose.joints.copy()
    joints[4] = np.nan
    return Person(joints, pose.confidence, number)


def test_missing_rerun_sdk_raises(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(rerun_view.RerunNotInstalled, match="pip install rerun-sdk"):
        rerun_view.import_rerun()


def test_rerun_recording_passes_rerun_verify(tmp_path):
    pytest.importorskip("rerun", reason="needs rerun-sdk, which is optional")
    frames = [recorded(10**18, skeleton(0), skeleton(1)), recorded(10**18 + 10**8, skeleton(1))]
    path = rerun_view.write_recording(tmp_path, frames, WIDE_CAMERA)
    tool = [sys.executable, "-m", "rerun", "rrd"]
    verified = subprocess.run([*tool, "verify", str(path)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr
    printed = subprocess.run(
        [*tool, "print", "-v", str(path)], capture_output=True, text=True, check=True
    ).stdout
    people = ("people/0/joints", "people/0/bones", "people/1/joints")
    for entity in ("camera/depth", *people, "/view/"):
        assert entity in printed
    assert Path(path).stat().st_size > 1000
