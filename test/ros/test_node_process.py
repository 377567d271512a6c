"""The node as a process of its own: Ctrl-C at any time, and faults at start."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from helpers.node_bench import camera_info, depth_image

NODE = ("-m", "depth_pose_ros.ros.main")
SLOW = (str(Path(__file__).parents[1] / "helpers" / "node_with_fake.py"), "1.0")
PATIENCE = 60.0  # seconds; importing torch on a busy machine takes its time


class Process:
    """A Python process whose output can be waited for."""

    def __init__(self, *arguments: str) -> None:
        self.text = ""
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: text in self.text, PATIENCE), self.text

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Its exit code."""
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.text += line
                self._news.notify_all()


@pytest.fixture
def start():
    processes = []

    def begin(*arguments: str) -> Process:
        processes.append(Process(*arguments))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()


@pytest.mark.parametrize("module", ["numpy.version", "rclpy.node", "depth_pose_ros.core.camera"])
def test_ctrl_c_while_the_node_is_still_importing(start, module):
    process = start("-X", "importtime", *NODE)
    process.wait_for(f" {module}\n")
    process.send(signal.SIGINT)
    assert process.end() == 0
    assert "Traceback" not in process.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_waiting_for_images(start, number):
    process = start(*SLOW)
    process.wait_for("Active: depth from /depth/image")
    process.send(number)
    assert process.end() == 0, process.text
    assert "Traceback" not in process.text


def test_ctrl_c_twice_in_the_middle_of_an_inference(ros, start):
    process = start(*SLOW, "--ros-args", "-p", "lazy:=false")
    peer = ros.node()
    depth = peer.create_publisher(Image, "/depth/image", QoSProfile(depth=2))
    info = peer.create_publisher(CameraInfo, "/depth/camera_info", QoSProfile(depth=2))
    ros.wait_for_subscribers(depth, timeout=PATIENCE)
    ros.wait_for_subscribers(info, timeout=PATIENCE)

    def begun() -> bool:
        info.publish(camera_info())
        depth.publish(depth_image())
        return "inference begins" in process.text

    ros.spin_until(begun, "an inference", PATIENCE)
    process.send(signal.SIGINT)
    ros.spin_for(0.2)
    process.send(signal.SIGINT)
    assert process.end() == 0, process.text
    assert "Traceback" not in process.text


def test_missing_weights_are_told_and_ctrl_c_still_ends_it(start):
    process = start(*NODE, "--ros-args", "-p", "model:=/nowhere/weights.safetensors")
    process.wait_for("The node stays unconfigured")
    assert "no weights at /nowhere/weights.safetensors" in process.text
    process.send(signal.SIGINT)
    assert process.end() == 0, process.text
    assert "Traceback" not in process.text


@pytest.mark.parametrize("bad", ["threads:=0", "min_confidence:=high", "id_prefix:='7'"])
def test_a_bad_start_up_parameter_is_one_line_and_exit_code_1(start, bad):
    process = start(*SLOW, "--ros-args", "-p", bad)
    assert process.end() == 1
    assert bad.split(":")[0] in process.text and "Traceback" not in process.text
