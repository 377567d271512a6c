"""The node's process with a fake estimator, for tests that interrupt it.

python node_with_fake.py <seconds of an inference> [--ros-args ...]
"""

import sys
import time
from pathlib import Path

from depth_pose_ros.ros.run import run

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.poses import standing


class SlowEstimator:
    def __init__(self, seconds):
        self._seconds = seconds

    def estimate(self, depth, camera):
        print("inference begins", flush=True)
        time.sleep(self._seconds)
        return [standing()]


if __name__ == "__main__":
    sys.exit(run(sys.argv, lambda _: SlowEstimator(float(sys.argv[1]))))
