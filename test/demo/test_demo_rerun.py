"""The demo's recording for Rerun's viewer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depth_pose_ros.core.drawing import Person
from depth_pose_ros.demo import rerun_view
from depth_pose_ros.demo.film import Shot
from helpers.poses import CAMERA, standing


def shot(stamp: int, *people: Person) -> Shot:
    depth = np.full((CAMERA.height, CAMERA.width), 3000, np.uint16)
    return Shot(stamp, depth, list(people))


def someone(number: int) -> Person:
    pose = standing(x=0.4 * number)
    joints = pose.joints.copy()
    joints[4] = np.nan
    return Person(joints, pose.confidence, number)


def test_what_is_missing_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(rerun_view.NoRerun, match="pip install rerun-sdk"):
        rerun_view.rerun()


def test_the_recording_is_one_by_reruns_own_tools(tmp_path):
    pytest.importorskip("rerun", reason="needs rerun-sdk, which is optional")
    shots = [shot(10**18, someone(0), someone(1)), shot(10**18 + 10**8, someone(1))]
    path = rerun_view.write_recording(tmp_path, shots, CAMERA)
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
