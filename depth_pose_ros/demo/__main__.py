"""The demo's executable.  Imports are inside main(), so that Ctrl-C gives no traceback."""

import sys


def main() -> int:
    """Run the demo; returns the exit code."""
    try:
        from depth_pose_ros.demo.command import run

        return run()
    except ModuleNotFoundError as error:
        print(
            f"error: the demo requires the Python module {error.name}: install it", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
