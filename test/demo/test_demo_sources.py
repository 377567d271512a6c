"""Folders, images, UTD-MHAD and camera files; bags and clips have tests of their own."""

import builtins
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.camera_file import read_camera_file
from depth_pose_ros.demo.frames import SourceError, millimetres
from depth_pose_ros.demo.images import STILL_SECONDS
from depth_pose_ros.demo.sources import open_source
from helpers.demo_scene import CAMERA, CAMERA_YAML, scene, scenes

ROS_YAML = """\
image_width: 128
image_height: 106
camera_name: depth
camera_matrix: {rows: 3, cols: 3, data: [91.0, 0, 63.5, 0, 91.5, 52.25, 0, 0, 1]}
distortion_model: plumb_bob
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, frame in enumerate(scenes(3)):
        cv2.imwrite(str(tmp_path / f"depth_{i:03d}.png"), frame)
    (tmp_path / "camera.yaml").write_text(CAMERA_YAML + "fps: 20\n")
    return tmp_path


def test_a_folder_of_pngs_is_played_in_order(folder):
    source = open_source(str(folder))
    frames = list(source)
    assert source.camera == CAMERA and source.fps == 20 and len(source) == 3
    assert [frame.stamp for frame in frames] == pytest.approx([0.0, 0.05, 0.1])
    for frame, expected in zip(frames, scenes(3), strict=True):
        assert frame.depth.dtype == np.uint16
        assert_array_equal(frame.depth, expected)


def test_a_source_can_be_iterated_again(folder):
    source = open_source(str(folder))
    assert len(list(source)) == len(list(source)) == 3


def test_frames_are_read_only_when_they_are_due(folder):
    source = iter(open_source(str(folder)))
    next(source)
    (folder / "depth_002.png").write_bytes(b"no image")
    next(source)
    with pytest.raises(SourceError, match=r"depth_002\.png cannot be read"):
        next(source)


def test_a_single_image_is_shown_for_a_while(folder):
    source = open_source(str(folder / "depth_001.png"))
    frames = list(source)
    assert len(frames) == len(source) == round(STILL_SECONDS * 20)
    assert_array_equal(frames[-1].depth, scene(1))


def test_the_camera_can_be_given_apart_from_the_images(folder, tmp_path_factory):
    (folder / "camera.yaml").unlink()
    elsewhere = tmp_path_factory.mktemp("calibration") / "kinect.yaml"
    elsewhere.write_text(ROS_YAML)
    assert open_source(str(folder), elsewhere).camera == CAMERA


def test_a_ros_calibration_prefers_the_projection_of_the_rectified_image(tmp_path):
    path = tmp_path / "camera.yaml"
    projection = "projection_matrix: {data: [80.0, 0, 60.0, 0, 0, 81.0, 50.0, 0, 0, 0, 1, 0]}\n"
    path.write_text(ROS_YAML + projection)
    assert read_camera_file(path).camera == Camera(80.0, 81.0, 60.0, 50.0, 128, 106)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no keys"),
        ("[1, 2", "not valid YAML"),
        (CAMERA_YAML.replace("cx", "c_x"), "lacks 'cx'"),
        (CAMERA_YAML.replace("91.0", "0.0"), "focal lengths must be positive"),
        (CAMERA_YAML.replace("91.0", "wide"), "wrong value"),
        (CAMERA_YAML + "unit: m\n", "only mm"),
        (CAMERA_YAML + "fps: 0\n", "fps must be"),
        ("image_width: 128\nimage_height: 106\n", "lacks 'camera_matrix'"),
        ("image_width: 1\nimage_height: 1\ncamera_matrix: {data: [1, 2]}\n", "wrong value"),
    ],
)
def test_a_bad_camera_file_is_refused(folder, text, message):
    (folder / "camera.yaml").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source(str(folder))


def test_images_without_a_camera_file_are_refused(folder):
    (folder / "camera.yaml").unlink()
    with pytest.raises(SourceError, match=r"no intrinsics.*--camera"):
        open_source(str(folder / "depth_000.png"))


def test_a_camera_of_another_size_is_refused(folder):
    (folder / "camera.yaml").write_text(CAMERA_YAML.replace("128", "640"))
    with pytest.raises(SourceError, match=r"128 x 106 pixels.*640 x 106"):
        list(open_source(str(folder)))


@pytest.mark.parametrize(
    "image", [np.zeros((106, 128, 3), np.uint16), np.zeros((106, 128), np.uint8)]
)
def test_a_picture_that_is_no_depth_image_is_refused(folder, image):
    cv2.imwrite(str(folder / "depth_000.png"), image)
    with pytest.raises(SourceError, match="one 16-bit channel"):
        list(open_source(str(folder)))


def test_what_is_not_there_or_unknown_is_refused(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        open_source(str(tmp_path / "nothing"))
    with pytest.raises(SourceError, match="neither a rosbag2"):
        open_source(str(tmp_path))
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SourceError, match="no known kind"):
        open_source(str(tmp_path / "notes.txt"))


def test_a_utd_mhad_sequence_is_flipped_back(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    path = tmp_path / "a1_s1_t1_depth.mat"
    depth = np.zeros((240, 320, 2), np.uint16)
    depth[100, 10, 1] = 2345
    scipy_io.savemat(path, {"d_depth": depth})
    source = open_source(str(path))
    frames = list(source)
    assert len(source) == 2 and source.fps == 30
    assert source.camera == Camera(285.63, 285.63, 160.7, 120.0, 320, 240)
    assert frames[1].stamp == pytest.approx(1 / 30)
    assert frames[1].depth.shape == (240, 320) and frames[1].depth.flags.c_contiguous
    assert not frames[0].depth.any()
    assert np.argwhere(frames[1].depth).tolist() == [[100, 309]]


def test_other_matlab_files_are_refused(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    scipy_io.savemat(path, {"d_skel": np.zeros((20, 3, 4))})
    with pytest.raises(SourceError, match=r"not a UTD-MHAD depth sequence.*found nothing"):
        open_source(str(path))
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(300))
    with pytest.raises(SourceError, match="not a readable MATLAB file"):
        open_source(str(path))


def test_without_scipy_a_matlab_file_says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "a.mat").write_bytes(b"")
    real = builtins.__import__

    def without_scipy(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(SourceError, match="pip install scipy"):
        open_source(str(tmp_path / "a.mat"))


def test_a_real_sequence_is_a_person_about_three_metres_away(shared_data):
    source = open_source(str(shared_data / "utd_mhad" / "Depth" / "a3_s1_t1_depth.mat"))
    first = next(iter(source)).depth
    assert 2000 < np.median(first[first > 0]) < 4000


def test_a_real_still_image_opens(shared_data, tmp_path):
    camera = tmp_path / "xtion.yaml"
    camera.write_text("{fx: 525, fy: 525, cx: 319.5, cy: 239.5, width: 640, height: 480}")
    path = shared_data / "scenes" / "five_people_depth_mm.png"
    assert next(iter(open_source(str(path), camera))).depth.shape == (480, 640)


def test_metres_become_whole_millimetres():
    metres = np.array([[0.0, 0.0004, 1.2346, 65.535, 65.6]], np.float32)
    assert millimetres(metres).tolist() == [[0, 0, 1235, 65535, 0]]
