"""The node as a process: Ctrl-C at any time, and errors at start."""

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

from depth_pose_ros.ros.main import SignalHandler
from helpers.node_harness import camera_info, depth_image

NODE = ("-m", "depth_pose_ros.ros.main")
SLOW_NODE = (str(Path(__file__).parents[1] / "helpers" / "slow_node.py"), "1.0")
TIMEOUT = 60.0  # seconds; importing torch on a busy machine is slow


class Process:
    """A Python process whose output can be waited for."""

    def __init__(self, *arguments: str) -> None:
        self.text = ""
        self._condition = threading.Condition()
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
        with self._condition:
            assert self._condition.wait_for(lambda: text in self.text, TIMEOUT), self.text

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        code = self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return code

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._condition:
                self.text += line
                self._condition.notify_all()


@pytest.fixture
def start():
    processes = []

    def start_process(*arguments: str) -> Process:
        processes.append(Process(*arguments))
        return processes[-1]

    yield start_process
    for process in processes:
        process.kill()


@pytest.mark.parametrize("module", ["numpy.version", "rclpy.node", "depth_pose_ros.core.camera"])
def test_ctrl_c_during_imports(start, module):
    process = start("-X", "importtime", *NODE)
    process.wait_for(f" {module}\n")
    process.send(signal.SIGINT)
    assert process.wait() == 0
    assert "Traceback" not in process.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_waiting_for_images(start, number):
    process = start(*SLOW_NODE)
    process.wait_for("Active: depth from /depth/image")
    process.send(number)
    assert process.wait() == 0, process.text
    assert "Traceback" not in process.text


def test_ctrl_c_twice_during_an_inference(ros, start):
    process = start(*SLOW_NODE, "--ros-args", "-p", "lazy:=false")
    peer = ros.node()
    depth = peer.create_publisher(Image, "/depth/image", QoSProfile(depth=2))
    info = peer.create_publisher(CameraInfo, "/depth/camera_info", QoSProfile(depth=2))
    ros.wait_for_subscribers(depth, timeout=TIMEOUT)
    ros.wait_for_subscribers(info, timeout=TIMEOUT)

    def started() -> bool:
        info.publish(camera_info())
        image = depth_image()
        image.header.stamp = peer.get_clock().now().to_msg()
        depth.publish(image)
        return "inference started" in process.text

    ros.spin_until(started, "an inference", TIMEOUT)
    process.send(signal.SIGINT)
    ros.spin_for(0.2)
    process.send(signal.SIGINT)
    assert process.wait() == 0, process.text
    assert "Traceback" not in process.text


def test_missing_weights_are_logged_and_ctrl_c_ends_the_node(start):
    process = start(*NODE, "--ros-args", "-p", "model:=/nowhere/weights.safetensors")
    process.wait_for("The node stays unconfigured")
    assert "no weights at /nowhere/weights.safetensors" in process.text
    process.send(signal.SIGINT)
    assert process.wait() == 0, process.text
    assert "Traceback" not in process.text


@pytest.mark.parametrize("bad", ["threads:=0", "min_confidence:=high", "id_prefix:='7'"])
def test_invalid_start_up_parameter_gives_one_line_and_exit_code_1(start, bad):
    process = start(*SLOW_NODE, "--ros-args", "-p", bad)
    assert process.wait() == 1
    assert bad.split(":")[0] in process.text and "Traceback" not in process.text


class PartlyConstructed:
    def __del__(self) -> None:
        raise AttributeError("partly constructed")


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> SignalHandler:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "unraisablehook", lambda error: print(error.exc_value))
    return SignalHandler()


def test_only_a_signal_before_spinning_raises(handler: SignalHandler) -> None:
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGINT, None)
    assert handler.received
    handler(signal.SIGINT, None)
    later = SignalHandler()
    later.spinning = True
    later(signal.SIGTERM, None)
    assert later.received


def test_errors_of_destructors_are_suppressed_after_a_signal(
    handler: SignalHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    PartlyConstructed()
    assert "partly constructed" in capsys.readouterr().out
    handler.received = True
    PartlyConstructed()
    assert capsys.readouterr().out == ""
