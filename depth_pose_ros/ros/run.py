"""Runs the node until it is told to stop."""

import gc
import sys

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException

from depth_pose_ros.ros.estimator_loading import EstimatorFactory, load_estimator
from depth_pose_ros.ros.node import NODE_NAME, DepthPoseNode
from depth_pose_ros.ros.stop_signal import StopSignal


def run(args: list[str] | None = None, make_estimator: EstimatorFactory = load_estimator) -> int:
    """Run the node until Ctrl-C, SIGTERM or shutdown; the process's exit code."""
    stop = StopSignal()
    node: DepthPoseNode | None = None
    try:
        rclpy.init(args=args)
        node = DepthPoseNode(make_estimator)
        node.autostart()
        # What is there by now stays: a collector that goes through all of torch holds frames up.
        gc.collect()
        gc.freeze()
        stop.spinning = True
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except ParameterException as error:
        print(f"{NODE_NAME}: {error}", file=sys.stderr)
        return 1
    except Exception:
        if not stop.came:  # else it is the context's end, under whatever was running
            raise
    finally:
        stop.ignore()
        if node is not None:
            node.destroy_node()
        # Not rclpy.try_shutdown(): from Kilted on that would also bring the signal handlers back.
        rclpy.get_default_context().try_shutdown()
    return 0
