"""The built-in clip's format and its sensor noise."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from depth_pose_ros.demo.sources import clip, open_source
from depth_pose_ros.demo.sources.base import SourceError
from helpers.demo_scene import CAMERA, scene, scenes


def test_clip_round_trip(tmp_path):
    path, frames = tmp_path / "a.bin", scenes(5)
    size = clip.write_clip(path, frames, CAMERA, fps=15, step=1)
    read = clip.read_clip(path, noise=False)
    assert size == path.stat().st_size
    assert read.camera == CAMERA and read.fps == 15 and len(read) == 5
    for i, (stamp, depth) in enumerate(read):
        assert stamp == pytest.approx(i / 15)
        assert depth.dtype == np.uint16
        assert_array_equal(depth, frames[i])


def test_rounding_keeps_missing_pixels(tmp_path):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 2**16, (CAMERA.height, CAMERA.width)).astype(np.uint16)
    frame[:2] = ((0,), (1,))  # the smallest measurement must not become "missing"
    clip.write_clip(tmp_path / "a.bin", [frame], CAMERA, fps=15, step=4)
    (_, back) = next(iter(clip.read_clip(tmp_path / "a.bin", noise=False)))
    assert_array_equal(back == 0, frame == 0)
    assert np.abs(back.astype(int) - frame)[2:].max() <= 4


def test_frames_are_read_lazily(tmp_path):
    path = tmp_path / "a.bin"
    clip.write_clip(path, scenes(3), CAMERA, fps=15)
    source = iter(clip.read_clip(path))
    assert next(source).depth.shape == scene().shape


def test_static_frames_compress_well(tmp_path):
    rng = np.random.default_rng(0)
    still = rng.integers(500, 5000, (CAMERA.height, CAMERA.width)).astype(np.uint16)
    one = clip.write_clip(tmp_path / "one.bin", [still], CAMERA, fps=15)
    many = clip.write_clip(tmp_path / "many.bin", [still] * 100, CAMERA, fps=15)
    assert many - one < 1000


def test_bin_file_is_opened_as_clip(tmp_path):
    clip.write_clip(tmp_path / "mine.bin", scenes(2), CAMERA, fps=15)
    source = open_source(str(tmp_path / "mine.bin"))
    assert "mine.bin" in source.name and len(list(source)) == 2


def test_frames_of_other_size_are_rejected(tmp_path):
    with pytest.raises(SourceError, match=r"10 x 10 pixels.*128 x 106"):
        clip.write_clip(tmp_path / "a.bin", [np.zeros((10, 10), np.uint16)], CAMERA, fps=15)


def test_damaged_clips_are_rejected(tmp_path):
    path = tmp_path / "a.bin"
    clip.write_clip(path, scenes(4), CAMERA, fps=15)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 40])
    with pytest.raises(SourceError, match=r"(is damaged|ends) at frame"):
        list(clip.read_clip(path))
    path.write_bytes(whole.replace(b'"step": 2', b'"step": 0'))
    with pytest.raises(SourceError, match="invalid values"):
        clip.read_clip(path)
    path.write_bytes(whole[5:])
    with pytest.raises(SourceError, match="not a clip"):
        clip.read_clip(path)
    path.write_bytes(clip._MAGIC + json.dumps({"fps": 15}).encode() + b"\n")
    with pytest.raises(SourceError, match="not a clip"):
        clip.read_clip(path)
    with pytest.raises(SourceError, match="cannot read the clip"):
        clip.read_clip(tmp_path / "none.bin")


def test_noise_is_deterministic_per_frame():
    first, again, other = (clip.with_sensor_noise(scene(), i) for i in (3, 3, 4))
    assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(("metres", "sigma"), [(1.0, 1.3), (2.0, 1.7), (4.0, 4.3)])
def test_noise_has_the_measured_deviation(metres, sigma):
    wall = np.full((200, 200), round(metres * 1000), np.uint16)
    noise = clip.with_sensor_noise(wall, 0).astype(float) - wall
    quantized = np.hypot(sigma, 1 / np.sqrt(12))
    assert noise.std() == pytest.approx(quantized, rel=0.03)
    assert abs(noise.mean()) < 0.1


def test_noise_keeps_missing_and_valid_pixels():
    frame = np.array([[0, 1, 65535]] * 50, np.uint16)
    for i in range(5):
        noisy = clip.with_sensor_noise(frame, i)
        assert not noisy[:, 0].any() and noisy[:, 1].all()
        assert noisy[:, 2].min() > 60000


def test_missing_builtin_clip_raises(tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "BUILTIN", tmp_path / "clip.bin")
    with pytest.raises(SourceError, match=r"built-in clip.*missing"):
        open_source(None)


def test_builtin_clip_size_and_duration():
    source = open_source(None)
    assert clip.BUILTIN.stat().st_size < 3e6
    assert 8 <= len(source) / source.fps <= 15
    assert (source.camera.width, source.camera.height) == (512, 424)
    count = 0
    for _, depth in source:
        assert (depth > 0).mean() > 0.5
        count += 1
    assert count == len(source)
