"""The demo as a process, with the real node and a fake estimator."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from depth_pose_ros.demo.__main__ import main
from depth_pose_ros.demo.session import DemoError, clear_bag
from depth_pose_ros.demo.sources import open_source
from helpers.demo_scene import CAMERA_YAML, scenes

HERE = Path(__file__).parents[1]
#: In the environment of the demo and of everything it starts.
MARK = "DEPTH_POSE_DEMO_TEST"
PATIENCE = 100.0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for i, frame in enumerate(scenes(12)):
        cv2.imwrite(str(folder / f"{i:03d}.png"), frame)
    (folder / "camera.yaml").write_text(CAMERA_YAML + "fps: 10\n")
    return folder


class Demo:
    """The demo as a process."""

    def __init__(self, kind: str, folder: Path, *arguments: str) -> None:
        self.mark = str(folder)
        self.output = folder / "output"
        path = os.pathsep.join((str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")))
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(HERE / "helpers" / "demo_node.py"),
                kind,
                "--output",
                str(self.output),
            ]
            + list(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: self.mark, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )

    def finish(self) -> tuple[int, str, str]:
        """Exit code, standard output and error; nothing of it may be left running."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        assert self.processes() == []
        return self.process.returncode, out, err

    def processes(self) -> list[int]:
        """All processes the demo has started, itself included."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except (OSError, ValueError):
                continue
        return found

    def wait_for(self, what: str) -> None:
        """Read its output up to a line that holds ``what``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if what in line:
                return
        pytest.fail(f"the demo ended without printing {what!r}: {self.finish()}")


def test_demo_writes_summary_pictures_and_bag(source, tmp_path):
    demo = Demo("demo", tmp_path, "--source", str(source))
    code, out, err = demo.finish()
    assert (code, err) == (0, ""), out
    for text in (
        "12 frames",
        "/kinect2/sd/image_depth_rect",
        "/depth_pose_node/joints",
        "visualization_msgs/msg/MarkerArray",
        "tf2_msgs/msg/TFMessage",
        "Hz",
        "ms median",
        "people    1.00 a frame",
    ):
        assert text in out
    names = {path.name for path in demo.output.iterdir()}
    assert {"frame_0001.png", "skeletons.gif", "outputs", "node.log"} <= names
    assert (demo.output / "outputs" / "outputs.mcap").stat().st_size > 0
    assert len(list(open_source(str(demo.output / "outputs")))) == 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_sigint_or_sighup_stops_all_processes(source, tmp_path, number):
    # Long enough to be interrupted.
    (source / "camera.yaml").write_text(CAMERA_YAML + "fps: 0.1\n")
    demo = Demo("demo", tmp_path, "--source", str(source))
    demo.wait_for("playing")
    assert len(demo.processes()) == 3
    demo.process.send_signal(number)
    code, out, err = demo.finish()
    assert (code, err) == (0, "")
    assert "stopped" in out
    logs = [path.read_text() for path in demo.output.glob("*.log")]
    assert len(logs) == 2 and not any("Traceback" in log for log in logs)


def test_sigint_during_start_stops_all_processes(source, tmp_path):
    demo = Demo("demo", tmp_path, "--source", str(source))
    demo.wait_for("starting the node")
    time.sleep(0.2)  # during the start of the processes
    demo.process.send_signal(signal.SIGINT)
    code, _, err = demo.finish()
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("demo-no-model", ("could not be configured", "no weights at models/nothing.safetensors")),
        ("demo-dies", ("the node ended with exit code 7", "something is badly wrong")),
    ],
)
def test_node_failure_is_reported_with_its_log(source, tmp_path, kind, texts):
    code, _, err = Demo(kind, tmp_path, "--source", str(source)).finish()
    assert code == 1
    assert err.startswith("error: ") and "Traceback" not in err
    assert all(text in err for text in texts)


def test_unreadable_frame_stops_the_demo(source, tmp_path):
    (source / "003.png").write_bytes(b"no image")
    code, _, err = Demo("demo", tmp_path, "--source", str(source)).finish()
    assert code == 1
    assert "the player failed" in err and "003.png cannot be read" in err


def test_invalid_source_starts_no_process(tmp_path):
    code, _, err = Demo("demo", tmp_path, "--source", str(tmp_path / "nothing")).finish()
    assert code == 1
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "output").exists()


def test_missing_module_is_named(monkeypatch, capsys):
    for name in ("command", "session", "recorder"):
        monkeypatch.delitem(sys.modules, f"depth_pose_ros.demo.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    assert main() == 1
    assert capsys.readouterr().err.startswith("error: the demo requires the Python module rosbags")


def test_clear_bag_deletes_only_a_bag(tmp_path):
    folder = tmp_path / "outputs"
    clear_bag(folder)
    folder.mkdir()
    for name in ("outputs.mcap", "metadata.yaml"):
        (folder / name).touch()
    clear_bag(folder)
    assert not folder.exists()
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(DemoError, match="not an earlier recording"):
        clear_bag(folder)
    assert (folder / "thesis.tex").exists()
