"""The node with a slow fake estimator, for tests that interrupt it.

python slow_node.py <seconds per inference> [--ros-args ...]
"""

import sys
import time
from pathlib import Path

from depth_pose_ros.ros.main import run

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.poses import standing


class SlowEstimator:
    def __init__(self, seconds):
        self._seconds = seconds

    def estimate(self, depth, camera):
        print("inference started", flush=True)
        time.sleep(self._seconds)
        return [standing()]


if __name__ == "__main__":
    sys.exit(run(sys.argv, lambda _: SlowEstimator(float(sys.argv[1]))))
