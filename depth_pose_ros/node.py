"""The node: depth images in, skeletons out.

Thin on purpose: parameters, subscriptions, threads and the life cycle.  Reading, estimation,
numbering and conversion are elsewhere.
"""

import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.lifecycle.node import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, Image

from depth_pose_ros import parameters
from depth_pose_ros.calibration import Calibration, CalibrationError
from depth_pose_ros.camera import CameraError
from depth_pose_ros.depth import DepthError
from depth_pose_ros.estimator_loading import (
    Estimator,
    EstimatorFactory,
    EstimatorSettings,
    load_estimator,
)
from depth_pose_ros.identity import identify
from depth_pose_ros.outputs import Outputs
from depth_pose_ros.reader import DepthReader
from depth_pose_ros.stop_signal import StopSignal
from depth_pose_ros.throttle import Throttle
from depth_pose_ros.worker import LatestWorker

NODE_NAME = "depth_pose_node"
DEPTH_TOPIC, CAMERA_INFO_TOPIC = "depth/image", "depth/camera_info"

REPEAT_AFTER = 5.0  #: seconds before the same complaint is made again, or of silence before one
_LONGEST_INFERENCE = 10.0  # seconds to wait for the frame in work when the node is stopped


class DepthPoseNode(LifecycleNode):
    """The life-cycle node ``depth_pose_node``; see the README for topics and parameters.

    Args:
        make_estimator: called on every configure.
        options: passed on to rclpy.

    Raises:
        rclpy.exceptions.ParameterException: a start-up parameter of a wrong type or out of range.
    """

    def __init__(self, make_estimator: EstimatorFactory = load_estimator, **options: Any) -> None:
        self._make_estimator = make_estimator
        self._estimator: Estimator | None = None
        self._worker: LatestWorker[Image] | None = None
        self._inputs: list[Any] = []
        self._watch: Timer | None = None
        self._camera_info: CameraInfo | None = None
        self._frames = 0
        self._throttle = Throttle(REPEAT_AFTER)
        self._outputs = Outputs(self)  # here, because rclpy also destroys nodes that are half made
        super().__init__(NODE_NAME, **options)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        parameters.declare(self)
        self._reader = DepthReader(self._value("rectified"), self._on_calibration)

    def autostart(self) -> None:
        """Configure and activate, if the parameter ``autostart`` says so."""
        if not self._value("autostart"):
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        elif self.context.ok():
            name = self.get_fully_qualified_name()
            self.get_logger().error(
                "The node stays unconfigured.  Correct its parameters, for example "
                f"`ros2 param set {name} model <file>`, then `ros2 lifecycle set {name} configure` "
                f"and `ros2 lifecycle set {name} activate`"
            )

    # Life cycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        settings = EstimatorSettings(*map(self._value, EstimatorSettings._fields))
        try:
            self._estimator = self._make_estimator(settings)
            self._outputs.open()
        except Exception as error:  # whatever it is, the node must live on and say so
            self._fail("configure", error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._start()
        except Exception as error:  # rclpy would keep it to itself
            self._fail("activate", error)
            self._stop()
            return TransitionCallbackReturn.FAILURE
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.get_logger().error(f"A transition from state {state.label} failed: unconfigured again")
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        self._stop()
        super().destroy_node()

    def _start(self) -> None:
        """From inactive to active: inputs and the thread that works on them."""
        self._frames = 0
        self._worker = LatestWorker(self._process, name="inference")
        self._inputs.append(self._subscribe(Image, DEPTH_TOPIC, self._on_image))
        self._inputs.append(self._subscribe(CameraInfo, CAMERA_INFO_TOPIC, self._on_camera_info))
        # A clock of its own: with use_sim_time and no simulation, ROS time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._watch = self.create_timer(REPEAT_AFTER, self._on_watch, clock=steady)
        depth, info = (subscription.topic_name for subscription in self._inputs)
        self.get_logger().info(f"Active: depth from {depth}, calibration from {info}")

    def _stop(self) -> None:
        """Back to inactive, from wherever: no input, no work, nothing drawn."""
        if self._watch is not None:
            self.destroy_timer(self._watch)
            self._watch = None
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        if self._worker is not None and not self._worker.stop(_LONGEST_INFERENCE):
            self.get_logger().error("The inference hangs; its thread is left behind")
        self._worker, self._camera_info = None, None
        if self.context.ok():
            self._outputs.take_back()

    def _release(self) -> None:
        """Back to unconfigured: no model, no publishers."""
        self._stop()
        self._estimator = None
        self._outputs.close()

    # Executor's thread

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> Any:
        # REP-2003: sensor data is best effort, and of a stream only the newest frame matters.  A
        # profile of its own, because rclpy writes the overrides into the one it is given.
        return self.create_subscription(
            kind,
            topic,
            callback,
            QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _on_image(self, image: Image) -> None:
        self._frames += 1
        if self._worker is not None:
            self._worker.put(image)

    def _on_camera_info(self, info: CameraInfo) -> None:
        self._camera_info = info

    def _on_watch(self) -> None:
        """Say what is missing: a silent node is the hardest one to put right."""
        assert self._worker is not None
        depth, info = (subscription.topic_name for subscription in self._inputs)
        if self._frames == 0:
            self._report(
                f"No depth image on {depth} for {REPEAT_AFTER:g} s "
                f"({self.count_publishers(depth)} publishers): is the camera running, and is "
                f"{DEPTH_TOPIC} remapped to its topic?"
            )
        elif self._camera_info is None:
            self._report(
                f"Depth images arrive, but no camera_info on {info} "
                f"({self.count_publishers(info)} publishers): is {CAMERA_INFO_TOPIC} remapped to "
                "the topic beside the depth image?"
            )
        self.get_logger().debug(
            f"{self._frames} frames in {REPEAT_AFTER:g} s; "
            f"{self._worker.dropped} replaced by newer ones since activation"
        )
        self._frames = 0

    def _on_set_parameters(self, changes: Iterable[Parameter]) -> SetParametersResult:
        reason = parameters.refusal(changes, configured=self._estimator is not None)
        return SetParametersResult(successful=not reason, reason=reason)

    # Worker's thread

    def _process(self, image: Image) -> None:
        try:
            self._estimate(image)
        except (DepthError, CameraError, CalibrationError) as error:
            self._report(f"Depth image ignored: {error}")
        except Exception as error:  # the next frame may be good: the thread must live on
            if self.context.ok():
                self._report(f"Frame lost: {type(error).__name__}: {error}")
                self.get_logger().debug("".join(traceback.format_exception(error)))

    def _estimate(self, image: Image) -> None:
        estimator, info = self._estimator, self._camera_info
        metres = self._reader.metres(image)
        if estimator is None or info is None:  # the watch says so if it lasts
            return
        depth, camera = self._reader.rectified(metres, info)
        if not depth.any():
            self._report("The depth image has no valid pixel: is the sensor covered or too near?")
        if not image.header.frame_id:
            self._report("The depth image has no frame_id: set it in the driver, TF needs it")
        self._outputs.publish(image.header, identify(estimator.estimate(depth, camera)))

    def _on_calibration(self, calibration: Calibration) -> None:
        camera, topic = calibration.camera, self.resolve_topic_name(DEPTH_TOPIC)
        undone = "" if calibration.undistortion is None else "; the distortion D is undone"
        self.get_logger().info(f"Calibration: {camera}{undone}")
        if calibration.ignored_distortion and "raw" in topic and "rect" not in topic:
            self.get_logger().warning(
                "The distortion D of camera_info is ignored because the parameter rectified is "
                f"true, but {topic} does not sound rectified: if it is not, set it to false"
            )

    # Any thread

    def _fail(self, transition: str, error: Exception) -> None:
        self.get_logger().error(f"Cannot {transition}: {error}")
        self.get_logger().debug("".join(traceback.format_exception(error)))

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _report(self, message: str) -> None:
        if self._throttle.admits(message):
            self.get_logger().error(message)


def main(args: list[str] | None = None, make_estimator: EstimatorFactory = load_estimator) -> int:
    """Run the node until Ctrl-C, SIGTERM or shutdown; the process's exit code."""
    stop = StopSignal()
    node: DepthPoseNode | None = None
    try:
        rclpy.init(args=args)
        node = DepthPoseNode(make_estimator)
        node.autostart()
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
