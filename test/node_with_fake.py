"""The node's process with a fake estimator, for tests that interrupt it.

python node_with_fake.py <seconds of an inference> [--ros-args ...]
"""

import sys
import time

from poses import standing

from depth_pose_ros.run import run


class SlowEstimator:
    def __init__(self, seconds):
        self._seconds = seconds

    def estimate(self, depth, camera):
        print("inference begins", flush=True)
        time.sleep(self._seconds)
        return [standing()]


if __name__ == "__main__":
    sys.exit(run(sys.argv, lambda _: SlowEstimator(float(sys.argv[1]))))
