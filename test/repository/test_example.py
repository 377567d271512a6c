"""The example of the README, and the package's public names."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "estimate.py"


def run(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_the_example_finds_both_people() -> None:
    lines = run(str(EXAMPLE)).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("score 0.9") or line.startswith("score 1.0") for line in lines)


def test_the_readme_shows_the_example() -> None:
    assert f"```python\n{EXAMPLE.read_text()}```" in (ROOT / "README.md").read_text()


def test_public_names_are_imported_lazily() -> None:
    code = """
import sys
import depth_pose_ros
from depth_pose_ros import Camera, EstimatorOptions
assert "torch" not in sys.modules
from depth_pose_ros import Pose, PoseEstimator, Tracker
import depth_pose_ros.camera, depth_pose_ros.estimator  # paths of the last version
assert depth_pose_ros.camera.Camera is Camera
assert depth_pose_ros.estimator.PoseEstimator is PoseEstimator
print(sorted(depth_pose_ros.__all__))
"""
    names = ["Camera", "EstimatorOptions", "Pose", "PoseEstimator", "Tracker"]
    assert run("-c", code).strip() == str(names)
