"""The player: timetable, messages as a Kinect v2 driver sends them."""

import threading
import time
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from depth_pose_ros.core.calibration import calibrate
from depth_pose_ros.demo.frames import DepthFrame, SourceError
from depth_pose_ros.demo.playback import (
    CAMERA_INFO_TOPIC,
    DEPTH_TOPIC,
    NobodyListens,
    Options,
    Player,
    camera_info,
    play,
    run,
    timetable,
)
from depth_pose_ros.demo.read_ahead import read_ahead
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


def stamps(options: Options, count: int = 100) -> list[float]:
    return [frame.stamp for frame in islice(timetable(Recording(), options), count)]


def test_the_timetable_keeps_the_recordings_gaps():
    assert stamps(Options()) == pytest.approx([0.0, 0.05, 0.2])


def test_the_duration_bounds_it():
    assert stamps(Options(duration=0.2)) == pytest.approx([0.0, 0.05])


def test_a_loop_goes_on_one_frame_after_the_end():
    expected = [0.0, 0.05, 0.2, 0.25, 0.3, 0.45, 0.5]
    assert stamps(Options(loop=True), 7) == pytest.approx(expected)
    assert stamps(Options(loop=True, duration=0.46)) == pytest.approx(expected[:-1])


def test_reading_ahead_changes_neither_frames_nor_errors():
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


def test_reading_ahead_begins_at_once_and_keeps_its_limit():
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


def test_camera_info_is_that_of_a_rectified_camera():
    info = camera_info(CAMERA)
    for rectified in (True, False):
        calibration = calibrate(info, CAMERA.width, CAMERA.height, rectified)
        assert calibration.camera == CAMERA and calibration.undistortion is None


def test_what_is_played_arrives_over_dds(ros):
    player = ros.add(Player(CAMERA))
    peer = ros.node()
    images: list[Image] = []
    infos: list[CameraInfo] = []
    peer.create_subscription(Image, DEPTH_TOPIC, images.append, QoSProfile(depth=10))
    peer.create_subscription(CameraInfo, CAMERA_INFO_TOPIC, infos.append, QoSProfile(depth=10))
    before = time.time()
    playing = threading.Thread(target=play, args=(player, Recording(), Options()))
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


def test_without_subscribers_it_says_so(ros):
    player = ros.add(Player(CAMERA))
    with pytest.raises(NobodyListens, match=r"2 subscriber\(s\) of /kinect2/sd/image_depth_rect"):
        play(player, Recording(), Options(subscribers=2, patience=0.1))


def test_a_bad_source_is_one_error_and_exit_code_1(capsys):
    assert run(["player", "--source", "nothing-here", "--ros-args", "-r", "__node:=x"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: nothing-here does not exist")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("value", ["0", "-1", "nan", "soon"])
def test_a_bad_duration_is_refused(value, capsys):
    with pytest.raises(SystemExit) as ended:
        run(["player", f"--duration={value}"])
    assert ended.value.code == 2
    assert "must be a positive number of seconds" in capsys.readouterr().err
