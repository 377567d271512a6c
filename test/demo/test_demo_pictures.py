"""The files the demo leaves: pictures and the animation."""

import cv2
import numpy as np
from PIL import Image

from depth_pose_ros.core.drawing import LEFT, MIDDLE, RIGHT, Person
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_ros.demo.film import Shot
from depth_pose_ros.demo.pictures import (
    ANIMATION,
    HEIGHT,
    STILLS,
    common_view,
    picture,
    write_pictures,
)
from helpers.demo_scene import CAMERA, scene
from helpers.poses import standing


def shot(index: int, people: int = 1) -> Shot:
    poses = [standing(x=0.3 * i, z=2.2) for i in range(people)]
    found = [Person(pose.joints, pose.confidence, i) for i, pose in enumerate(poses)]
    return Shot(index * 66_000_000, scene(index), found)


def test_skeletons_lie_where_the_camera_sees_the_joints():
    shots = [shot(0)]
    image = picture(shots[0], CAMERA, common_view(shots))
    scale = HEIGHT / CAMERA.height
    for joint, color in (("LeftElbow", LEFT), ("RightKnee", RIGHT)):
        u, v = CAMERA.project(shots[0].people[0].joints[INDEX[joint]])
        assert tuple(image[round((v + 0.5) * scale), round((u + 0.5) * scale)]) == color


def test_stills_and_an_animation_are_left(tmp_path):
    shots = [shot(i, people=0 if i < 4 else 2) for i in range(20)]
    files = write_pictures(tmp_path, shots, CAMERA)
    assert [file.name for file in files] == [
        *(f"frame_{i:04d}.png" for i in range(1, STILLS + 1)),
        ANIMATION,
    ]
    stills = [cv2.imread(str(file)) for file in files[:-1]]
    assert all(still.shape == stills[0].shape for still in stills)
    # People are what there is to see: no still is of an empty frame.
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


def test_few_or_empty_shots_are_no_trouble(tmp_path):
    assert write_pictures(tmp_path, [], CAMERA) == []
    assert len(write_pictures(tmp_path, [shot(0, people=0)], CAMERA)) == 2
    assert len(write_pictures(tmp_path, [shot(0), shot(1)], CAMERA)) == 3
    blind = Shot(0, np.zeros_like(scene()), [])
    assert len(write_pictures(tmp_path, [blind], CAMERA)) == 2
