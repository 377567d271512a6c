"""The executable ``depth_pose_node``.

ROS and torch are imported inside functions: their import takes long enough to be interrupted by
Ctrl-C, and that too must end with exit code 0 and without a traceback.
"""

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from depth_pose_ros.ros.node import EstimatorFactory

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SignalHandler:
    """Handles SIGINT and SIGTERM from its creation on.

    Before the node spins, the first signal raises KeyboardInterrupt, which also interrupts the
    loading of a model.  While rclpy spins (set :attr:`spinning`), the signal is only recorded:
    rclpy's own handler, which calls this one, shuts down the context and so ends the spinning.  An
    exception raised then would occur inside rclpy's bindings, which turn it into errors of their
    own.  Objects that rclpy has constructed in part when the context ends report exceptions in
    their destructors; these are suppressed after a signal.

    Attributes:
        received: whether a signal has been received; a later error is probably caused by the end of
            the context.
        spinning: to be set when rclpy starts to spin.
    """

    def __init__(self) -> None:
        self.received = False
        self.spinning = False
        for number in _SIGNALS:
            signal.signal(number, self)
        self._unraisablehook = sys.unraisablehook
        sys.unraisablehook = self._on_unraisable

    def __call__(self, number: int, frame: object) -> None:
        first, self.received = not self.received, True
        if first and not self.spinning:
            raise KeyboardInterrupt

    def _on_unraisable(self, error: "sys.UnraisableHookArgs") -> None:
        if not self.received:
            self._unraisablehook(error)

    def ignore(self) -> None:
        """Ignore signals during shutdown: `ros2 launch` and users may send several."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def run(args: list[str] | None = None, make_estimator: "EstimatorFactory | None" = None) -> int:
    """Run the node until Ctrl-C, SIGTERM or shutdown; returns the exit code.

    Args:
        args: command line, ``sys.argv`` by default.
        make_estimator: replaces the estimator in tests.
    """
    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.executors import ExternalShutdownException

    from depth_pose_ros.ros.node import NODE_NAME, DepthPoseNode, load_estimator

    handler = SignalHandler()
    node: DepthPoseNode | None = None
    try:
        rclpy.init(args=args)
        node = DepthPoseNode(make_estimator or load_estimator)
        node.autostart()
        # Objects that exist now are permanent: a collection that visits all of torch delays frames.
        gc.collect()
        gc.freeze()
        handler.spinning = True
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except ParameterException as error:
        print(f"{NODE_NAME}: {error}", file=sys.stderr)
        return 1
    except Exception:
        if not handler.received:  # otherwise caused by the end of the context
            raise
    finally:
        handler.ignore()
        if node is not None:
            node.destroy_node()
        # Not rclpy.try_shutdown(), which from Kilted on also restores the signal handlers.
        rclpy.get_default_context().try_shutdown()
    return 0


def main() -> NoReturn:
    """Run the node and end the process."""
    # Threads that spin while they wait for each other lose whole time slices when another program
    # needs one of their cores; an estimate then takes seconds.  OpenMP reads this at its start.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = run()
    except KeyboardInterrupt:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    # Node and context are closed.  Unloading torch takes up to seconds, after which `ros2 launch`
    # sends SIGTERM, and it may crash if an inference is still running.
    os._exit(code)


if __name__ == "__main__":
    main()
