"""Imports at run time: no ROS in the core, no training dependencies in the node.

The contracts of import-linter (pyproject.toml) check the same without running the code.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "depth_pose_ros" / "core").rglob("*.py"))
]
ROS = (
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "diagnostic_updater",
    "geometry_msgs",
    "hri_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "std_msgs",
    "tf2_msgs",
    "tf2_ros",
    "visualization_msgs",
)
TRAINING = (
    "anny",
    "depth_pose_training",
    "embreex",
    "h5py",
    "joblib",
    "roma",
    "sklearn",
    "tensorboard",
    "tqdm",
    "trimesh",
    "warp",
)
DEMO = ("matplotlib", "rosbags")

BLOCKER = """
import importlib, sys
blocked = set(sys.argv[1].split(","))
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError(f"{name} must not be needed here")
sys.meta_path.insert(0, Blocker())
for module in sys.argv[2].split(","):
    importlib.import_module(module)
"""


def import_without(blocked: tuple[str, ...], modules: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", BLOCKER, ",".join(blocked), ",".join(modules)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_core_imports_without_ros() -> None:
    import_without(ROS + TRAINING + DEMO, CORE)


def test_node_imports_without_training_and_demo_dependencies() -> None:
    import_without(TRAINING + DEMO, ["depth_pose_ros.ros.main", "depth_pose_ros.ros.node"])


def test_demo_imports_without_training_dependencies() -> None:
    import_without(TRAINING, ["depth_pose_ros.demo.__main__"])


def test_blocked_import_is_detected() -> None:
    with pytest.raises(AssertionError, match="must not be needed here"):
        import_without(("json",), ["json.tool"])
