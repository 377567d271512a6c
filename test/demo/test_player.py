"""The player: schedule and messages."""

import threading
import time
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from depth_pose_ros.core.calibration import calibrate
from depth_pose_ros.demo.playback import (
    CAMERA_INFO_TOPIC,
    DEPTH_TOPIC,
    NoSubscribers,
    PlaybackOptions,
    Player,
    camera_info,
    play,
    read_ahead,
    run,
    schedule,
)
from depth_pose_ros.demo.sources.base import DepthFrame, SourceError
from helpers.demo_scene import CAMERA, scenes


@dataclass
class Recording:
    """Frames at irregular stamps that do not begin at 0."""

    stamps: tuple[float, ...] = (100.0, 100.05, 100.2)
    name: str = "a recording"
    camera: object = CAMERA
    fps: float = 20.0

    def __len__(self):
        return len(self.stamps)

    def __iter__(self):
        for stamp, depth in zip(self.stamps, scenes(len(self.stamps)), strict=True):
            yield DepthFrame(stamp, depth)


def stamps(options: PlaybackOptions, count: int = 100) -> list[float]:
    return [frame.stamp for frame in islice(schedule(Recording(), options), count)]


def test_schedule_keeps_the_recorded_intervals():
    assert stamps(PlaybackOptions()) == pytest.approx([0.0, 0.05, 0.2])


def test_duration_limits_the_schedule():
    assert stamps(PlaybackOptions(duration=0.2)) == pytest.approx([0.0, 0.05])


def test_loop_restarts_after_one_frame_period():
    expected = [0.0, 0.05, 0.2, 0.25, 0.3, 0.45, 0.5]
    assert stamps(PlaybackOptions(loop=True), 7) == pytest.approx(expected)
    assert stamps(PlaybackOptions(loop=True, duration=0.46)) == pytest.approx(expected[:-1])


def test_read_ahead_keeps_frames_and_errors():
    def broken():
        yield from Recording()
        raise SourceError("the third frame is broken")

    for limit in (1, 100):
        frames = read_ahead(Recording(), limit)
        for frame, expected in zip(frames, Recording(), strict=True):
            assert frame.stamp == expected.stamp
            np.testing.assert_array_equal(frame.depth, expected.depth)
        frames = read_ahead(broken(), limit)
        assert [next(frames).stamp for _ in range(3)] == list(Recording().stamps)
        with pytest.raises(SourceError, match="third frame"):
            next(frames)


def test_read_ahead_starts_at_once_and_keeps_its_limit():
    read: list[int] = []

    def counted():
        for i, frame in enumerate(Recording()):
            read.append(i)
            yield frame

    frames = read_ahead(counted(), limit=1)
    end = time.monotonic() + 10.0
    while len(read) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert read == [0, 1]  # one in the queue, one in hand
    assert len(list(frames)) == 3


def test_camera_info_is_of_a_rectified_camera():
    info = camera_info(CAMERA)
    for rectified in (True, False):
        calibration = calibrate(info, CAMERA.width, CAMERA.height, rectified)
        assert calibration.camera == CAMERA and calibration.undistortion is None


def test_played_frames_are_received(ros):
    player = ros.add(Player(CAMERA))
    peer = ros.node()
    images: list[Image] = []
    infos: list[CameraInfo] = []
    peer.create_subscription(Image, DEPTH_TOPIC, images.append, QoSProfile(depth=10))
    peer.create_subscription(CameraInfo, CAMERA_INFO_TOPIC, infos.append, QoSProfile(depth=10))
    before = time.time()
    playing = threading.Thread(target=play, args=(player, Recording(), PlaybackOptions()))
    playing.start()
    ros.spin_until(lambda: len(images) == len(infos) == 3, "three images and camera_infos")
    playing.join()
    for image, info, expected in zip(images, infos, scenes(3), strict=True):
        assert image.header == info.header
        assert image.header.frame_id == "kinect2_ir_optical_frame"
        assert before <= image.header.stamp.sec + image.header.stamp.nanosec * 1e-9 <= time.time()
        assert (image.encoding, image.step, image.is_bigendian) == ("16UC1", 256, 0)
        pixels = np.frombuffer(image.data, np.uint16).reshape(image.height, image.width)
        np.testing.assert_array_equal(pixels, expected)
        assert (info.width, info.height) == (CAMERA.width, CAMERA.height)


def test_missing_subscribers_raise(ros):
    player = ros.add(Player(CAMERA))
    with pytest.raises(NoSubscribers, match=r"2 subscriber\(s\) of /kinect2/sd/image_depth_rect"):
        play(player, Recording(), PlaybackOptions(subscribers=2, timeout=0.1))


def test_invalid_source_is_an_error_with_exit_code_1(capsys):
    assert run(["player", "--source", "nothing-here", "--ros-args", "-r", "__node:=x"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: nothing-here does not exist")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("value", ["0", "-1", "nan", "soon"])
def test_invalid_duration_is_rejected(value, capsys):
    with pytest.raises(SystemExit) as ended:
        run(["player", f"--duration={value}"])
    assert ended.value.code == 2
    assert "must be a positive number of seconds" in capsys.readouterr().err
