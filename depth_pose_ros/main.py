"""The executable ``depth_pose_node``.

Little more than a guard: the node's imports take long enough for a Ctrl-C to fall into them, and
that too shall end with exit code 0 and no traceback.
"""

import sys


def main() -> int:
    """Run the node until it is told to stop; the process's exit code."""
    try:
        from depth_pose_ros import node

        return node.main()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
