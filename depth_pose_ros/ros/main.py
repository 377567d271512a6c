"""The executable ``depth_pose_node``.

Little more than a guard: the node's imports take long enough for a Ctrl-C to fall into them, and
that too shall end with exit code 0 and no traceback.
"""

import os
import sys
from typing import NoReturn

# Threads that spin while they wait for each other lose whole time slices as soon as another program
# wants one of their cores: an estimate then takes seconds.  OpenMP reads this when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> NoReturn:
    """Run the node until it is told to stop, and end the process."""
    try:
        from depth_pose_ros.ros.run import run

        code = run()
    except KeyboardInterrupt:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    # Node and context are closed by now.  Taking torch down module by module would cost up to
    # seconds, in which `ros2 launch` loses its patience, and may crash under a hanging inference.
    os._exit(code)


if __name__ == "__main__":
    main()
