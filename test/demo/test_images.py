"""Image files, UTD-MHAD sequences and camera files as depth sources."""

import builtins
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.demo.sources import open_source
from depth_pose_ros.demo.sources.base import SourceError, millimetres
from depth_pose_ros.demo.sources.camera_file import read_camera_file
from depth_pose_ros.demo.sources.images import STILL_SECONDS
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


def test_folder_of_pngs_is_sorted_by_name(folder):
    source = open_source(str(folder))
    frames = list(source)
    assert source.camera == CAMERA and source.fps == 20 and len(source) == 3
    assert [frame.stamp for frame in frames] == pytest.approx([0.0, 0.05, 0.1])
    for frame, expected in zip(frames, scenes(3), strict=True):
        assert frame.depth.dtype == np.uint16
        assert_array_equal(frame.depth, expected)


def test_source_can_be_iterated_twice(folder):
    source = open_source(str(folder))
    assert len(list(source)) == len(list(source)) == 3


def test_images_are_read_lazily(folder):
    source = iter(open_source(str(folder)))
    next(source)
    (folder / "depth_002.png").write_bytes(b"no image")
    next(source)
    with pytest.raises(SourceError, match=r"depth_002\.png cannot be read"):
        next(source)


def test_single_image_is_repeated(folder):
    source = open_source(str(folder / "depth_001.png"))
    frames = list(source)
    assert len(frames) == len(source) == round(STILL_SECONDS * 20)
    assert_array_equal(frames[-1].depth, scene(1))


def test_camera_file_in_another_folder(folder, tmp_path_factory):
    (folder / "camera.yaml").unlink()
    elsewhere = tmp_path_factory.mktemp("calibration") / "kinect.yaml"
    elsewhere.write_text(ROS_YAML)
    assert open_source(str(folder), elsewhere).camera == CAMERA


def test_ros_calibration_prefers_the_projection_matrix(tmp_path):
    path = tmp_path / "camera.yaml"
    projection = "projection_matrix: {data: [80.0, 0, 60.0, 0, 0, 81.0, 50.0, 0, 0, 0, 1, 0]}\n"
    path.write_text(ROS_YAML + projection)
    assert read_camera_file(path).camera == Camera(80.0, 81.0, 60.0, 50.0, 128, 106)


ECHO = """\
A message was lost!!!
\ttotal count change:1
header:
  stamp:
    sec: 1712
    nanosec: 5000
  frame_id: depth_optical
height: 212
width: 256
distortion_model: Brown-Conrady
d:
- 0.1
- -0.05
- 0.001
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
k:
- 182.0
- 0.0
- 127.0
- 0.0
- 183.0
- 104.5
- 0.0
- 0.0
- 1.0
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
p:
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
- 0.0
binning_x: 0
binning_y: 0
roi:
  x_offset: 0
  y_offset: 0
  height: 0
  width: 0
  do_rectify: false
---
"""


@pytest.mark.parametrize("text", [ECHO, ECHO.replace("\nk:", "\nK:").replace("\np:", "\nP:")])
def test_an_echoed_camera_info_is_a_camera_file(folder, text, caplog):
    """Of twice the size: the rules are those for messages."""
    (folder / "camera.yaml").write_text(text)
    assert read_camera_file(folder / "camera.yaml").camera == Camera(182, 183, 127, 104.5, 256, 212)
    caplog.clear()
    source = open_source(str(folder))
    assert source.camera == CAMERA
    assert_array_equal(next(iter(source)).depth, scene(0))
    assert [r.getMessage().rpartition(": ")[2] for r in caplog.records] == [
        "K is used, as if rectification left it unchanged",
        "camera_info is for 256 x 212 pixels and is scaled to the 128 x 106 of the depth image",
    ]


def test_distortion_of_a_camera_file_is_undone_if_the_images_are_not_rectified(folder, caplog):
    (folder / "camera.yaml").write_text("rectified: false\n" + ECHO[ECHO.index("height:") :])
    rectified = next(iter(open_source(str(folder)))).depth
    assert rectified.dtype == np.uint16 and rectified.shape == scene(0).shape
    assert not np.array_equal(rectified, scene(0))
    assert "model 'Brown-Conrady' with 8 coefficients" in caplog.text
    path = folder / "camera.yaml"
    path.write_text(path.read_text().replace("Brown-Conrady", "unheard_of"))
    with pytest.raises(SourceError, match="the model is unknown"):
        open_source(str(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no keys"),
        ("[1, 2", "not valid YAML"),
        (CAMERA_YAML.replace("cx", "c_x"), "has no key 'cx'"),
        (CAMERA_YAML.replace("91.0", "0.0"), "focal lengths must be positive"),
        (CAMERA_YAML.replace("91.0", "wide"), "invalid value"),
        (CAMERA_YAML + "unit: m\n", "only mm"),
        (CAMERA_YAML + "fps: 0\n", "fps must be"),
        ("image_width: 128\nimage_height: 106\n", "has no key 'camera_matrix'"),
        ("image_width: 1\nimage_height: 1\ncamera_matrix: {data: [1, 2]}\n", "invalid value"),
    ],
)
def test_invalid_camera_file_is_rejected(folder, text, message):
    (folder / "camera.yaml").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source(str(folder))


def test_images_without_camera_file_are_rejected(folder):
    (folder / "camera.yaml").unlink()
    with pytest.raises(SourceError, match=r"no intrinsics.*--camera"):
        open_source(str(folder / "depth_000.png"))


def test_camera_of_other_size_is_rejected(folder):
    (folder / "camera.yaml").write_text(CAMERA_YAML.replace("128", "640"))
    with pytest.raises(SourceError, match=r"128 x 106 pixels.*640 x 106"):
        list(open_source(str(folder)))


@pytest.mark.parametrize(
    "image", [np.zeros((106, 128, 3), np.uint16), np.zeros((106, 128), np.uint8)]
)
def test_image_that_is_not_16_bit_depth_is_rejected(folder, image):
    cv2.imwrite(str(folder / "depth_000.png"), image)
    with pytest.raises(SourceError, match="one 16-bit channel"):
        list(open_source(str(folder)))


def test_missing_or_unknown_source_is_rejected(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        open_source(str(tmp_path / "nothing"))
    with pytest.raises(SourceError, match="neither a rosbag2"):
        open_source(str(tmp_path))
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SourceError, match="unknown type"):
        open_source(str(tmp_path / "notes.txt"))


def test_utd_mhad_sequence_is_flipped(tmp_path):
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


def test_other_matlab_files_are_rejected(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    scipy_io.savemat(path, {"d_skel": np.zeros((20, 3, 4))})
    with pytest.raises(SourceError, match=r"not a UTD-MHAD depth sequence.*found no such array"):
        open_source(str(path))
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(300))
    with pytest.raises(SourceError, match="not a readable MATLAB file"):
        open_source(str(path))


def test_missing_scipy_raises(tmp_path, monkeypatch):
    (tmp_path / "a.mat").write_bytes(b"")
    real = builtins.__import__

    def without_scipy(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(SourceError, match="pip install scipy"):
        open_source(str(tmp_path / "a.mat"))


def test_real_utd_mhad_sequence(shared_data):
    source = open_source(str(shared_data / "utd_mhad" / "Depth" / "a3_s1_t1_depth.mat"))
    first = next(iter(source)).depth
    assert 2000 < np.median(first[first > 0]) < 4000


def test_real_still_image(shared_data, tmp_path):
    camera = tmp_path / "xtion.yaml"
    camera.write_text("{fx: 525, fy: 525, cx: 319.5, cy: 239.5, width: 640, height: 480}")
    path = shared_data / "scenes" / "five_people_depth_mm.png"
    assert next(iter(open_source(str(path), camera))).depth.shape == (480, 640)


def test_metres_are_rounded_to_millimetres():
    metres = np.array([[0.0, 0.0004, 1.2346, 65.535, 65.6]], np.float32)
    assert millimetres(metres).tolist() == [[0, 0, 1235, 65535, 0]]
