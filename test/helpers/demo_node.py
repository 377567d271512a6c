"""Runs the demo with the real node and a fake estimator, as a child process of tests.

python demo_node.py demo <the demo's arguments>   the demo, with this file as its node
python demo_node.py node --ros-args ...           that node
python demo_node.py no-model --ros-args ...       the node without weights
python demo_node.py dies --ros-args ...           a node that exits at once
"""

import sys
from pathlib import Path

import numpy as np

from depth_pose_ros.core.pose import Pose

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.poses import standing


class BlobEstimator:
    """Returns a fixed skeleton at the median pixel nearer than 2.5 m."""

    def estimate(self, depth, camera):
        near = np.argwhere((depth > 0) & (depth < 2.5))
        if not len(near):
            return []
        v, u = np.median(near, axis=0)
        pose = standing()
        joints = pose.joints - pose.joints.mean(axis=0) + camera.back_project((u, v), 2.2)
        pixels = camera.project(joints)
        return [Pose(joints.astype(np.float32), pixels.astype(np.float32), pose.confidence, 0.9)]


def _missing(*_):
    raise FileNotFoundError("no weights at models/nothing.safetensors")


def main() -> int:
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "dies":
        print("something is badly wrong", file=sys.stderr)
        return 7
    if what in ("node", "no-model"):
        from depth_pose_ros.ros.main import run as run_node

        return run_node([what, *arguments], _missing if what == "no-model" else _blobs)
    from depth_pose_ros.demo.command import run
    from depth_pose_ros.demo.session import NODE

    kind = {"demo": "node"}.get(what, what.removeprefix("demo-"))
    return run(arguments, (str(Path(__file__)), kind, *NODE[2:]))


def _blobs(*_):
    return BlobEstimator()


if __name__ == "__main__":
    sys.exit(main())
