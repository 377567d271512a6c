"""Rooms know only the rooms before them: no ROS in the core, nothing of training in the node."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "depth_pose_ros"

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
PICTURES_AND_FILES = ("matplotlib", "rosbags")  # the demo's, not the node's

# Everything that speaks ROS, or is for the command line.
OUTER = {
    "conversions",
    "diagnostics",
    "frames",
    "humans",
    "inputs",
    "main",
    "markers",
    "node",
    "outputs",
    "overlay",
    "parameters",
    "quick_messages",
    "reader",
    "run",
    "stencil",
}
CORE = sorted(
    ".".join(("depth_pose_ros", *p.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for p in PACKAGE.rglob("*.py")
    if p.relative_to(PACKAGE).parts[0] != "demo" and p.stem not in OUTER
)

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


def test_the_core_is_free_of_ros() -> None:
    import_without(ROS + TRAINING + PICTURES_AND_FILES, CORE)


def test_the_node_needs_nothing_of_training_or_the_demo() -> None:
    import_without(
        TRAINING + PICTURES_AND_FILES, ["depth_pose_ros.ros.main", "depth_pose_ros.ros.node"]
    )


def test_the_demo_needs_nothing_of_training() -> None:
    import_without(TRAINING, ["depth_pose_ros.demo.__main__"])


def test_the_blocker_blocks() -> None:
    with pytest.raises(AssertionError, match="must not be needed here"):
        import_without(("json",), ["json.tool"])
