"""The executable ``depth_pose_player``: publishes a depth source as a camera driver.

    python -m depth_pose_ros.demo.player [--source SOURCE] [--loop] ...

ROS is imported inside main(), so that Ctrl-C during the import gives no traceback.
"""

import sys


def main() -> int:
    """Play until the end or Ctrl-C; returns the exit code."""
    try:
        from depth_pose_ros.demo.playback import run

        return run(sys.argv)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
