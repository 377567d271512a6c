"""The demo.  Little more than a guard: a Ctrl-C may also fall into the imports."""

import sys


def main() -> int:
    """Run the demo; the process's exit code."""
    try:
        from depth_pose_ros.demo.command import run

        return run()
    except ModuleNotFoundError as error:
        print(f"error: the demo needs the Python module {error.name}: install it", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
