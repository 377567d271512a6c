"""The executable that plays a depth source as a Kinect v2 driver would.

    python -m depth_pose_ros.demo.player [--source SOURCE] [--loop] ...

Little more than a guard: a Ctrl-C may also fall into the imports.
"""

import sys


def main() -> int:
    """Play until the end or Ctrl-C; the process's exit code."""
    try:
        from depth_pose_ros.demo.playback import run

        return run(sys.argv)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
