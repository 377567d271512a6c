"""The node: depth images in, skeletons out.

Contains the parameters, the threads and the lifecycle; decoding, estimation, tracking, messages and
statistics are in other modules.
"""

import time
import traceback
from collections.abc import Callable
from typing import Any

import cv2
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.lifecycle.node import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.timer import Timer

from depth_pose_ros.core.calibration import CalibrationError
from depth_pose_ros.core.camera import CameraError
from depth_pose_ros.core.depth import DepthError
from depth_pose_ros.core.options import EstimatorOptions
from depth_pose_ros.ros import log_messages, parameters
from depth_pose_ros.ros.bond import LifecycleBond
from depth_pose_ros.ros.diagnostics import (
    Diagnostics,
    NodeStatus,
    Reporter,
    Snapshot,
    Statistics,
)
from depth_pose_ros.ros.frame_processor import Estimator, Frame, FrameProcessor
from depth_pose_ros.ros.inputs import DepthMessage, Inputs
from depth_pose_ros.ros.outputs import Outputs
from depth_pose_ros.ros.qos import unused_overrides
from depth_pose_ros.ros.stamps import MAX_DISORDER, StampFilter
from depth_pose_ros.ros.tf import TargetFrame, frame_name
from depth_pose_ros.ros.worker import LatestWorker

NODE_NAME = "depth_pose_node"

REPEAT_PERIOD = 5.0  #: seconds before a message is repeated, or without input before one is logged
_CHECK_PERIOD = 0.2  # seconds between two checks of the inputs
_IDLE_TIME = 1.0  # seconds without a subscriber before the node unsubscribes
_STOP_TIMEOUT = 10.0  # seconds to wait for the current inference when the node is stopped

EstimatorFactory = Callable[[EstimatorOptions], Estimator]


def load_estimator(options: EstimatorOptions) -> Estimator:
    """The estimator of :mod:`depth_pose_ros.core`."""
    # Imported here because torch takes seconds to load and only a configured node needs it.
    from depth_pose_ros.core.estimator import PoseEstimator

    cv2.setNumThreads(options.threads)
    return PoseEstimator.from_options(options)


class DepthPoseNode(LifecycleNode):
    """The lifecycle node ``depth_pose_node``; see the README for topics and parameters.

    Args:
        make_estimator: called on every configure.
        options: passed to rclpy.

    Raises:
        rclpy.exceptions.ParameterException: a start-up parameter of a wrong type or out of range.
    """

    def __init__(self, make_estimator: EstimatorFactory = load_estimator, **options: Any) -> None:
        self._make_estimator = make_estimator
        self._estimator: Estimator | None = None
        self._worker: LatestWorker[Frame] | None = None
        self._check_timer: Timer | None = None
        self._target: TargetFrame | None = None
        self._transition_error = ""
        self._images_stopped = False
        self._last_wanted = 0.0
        self._stamps = StampFilter()
        self._num_jumps = 0
        self._statistics = Statistics()
        # Before super(), because rclpy also destroys nodes that are constructed in part.
        self._inputs, self._outputs = Inputs(self, self._on_image), Outputs(self)
        self._bond = LifecycleBond(self)
        self._reporter = Reporter(self, self._statistics, REPEAT_PERIOD)
        self._processor = FrameProcessor(self, self._outputs, self._statistics, self._reporter)
        super().__init__(NODE_NAME, **options)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        parameters.declare(self)
        self._diagnostics = Diagnostics(self, self._observe)

    def autostart(self) -> None:
        """Configure and activate the node if the parameter ``autostart`` is true."""
        if not self._value("autostart"):
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        elif self.context.ok():
            self.get_logger().error(
                log_messages.STAYS_UNCONFIGURED.format(node=self.get_fully_qualified_name())
            )

    # Parameters: old names are replaced.  `ros2 param set` calls the second one.

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        return super().set_parameters(parameters.current_names(self, parameter_list))

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        return super().set_parameters_atomically(parameters.current_names(self, parameter_list))

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._estimator = self._make_estimator(parameters.estimator_options(self))
            self._outputs.open()
            if frame_name(self._value("target_frame")):
                self._target = TargetFrame(self, self._value("target_frame"))
                self._outputs.own_tf_subscriptions = 1
        except Exception as error:  # of any kind: the node must stay alive and report it
            self._transition_failed("configure", error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._transition_error = ""
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._start()
        except Exception as error:  # rclpy would not log it
            self._transition_failed("activate", error)
            self._stop()
            return TransitionCallbackReturn.FAILURE
        self._transition_error = ""
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
        self.get_logger().error(log_messages.RESET_AFTER_ERROR.format(state=state.label))
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        self._stop()
        super().destroy_node()

    def _start(self) -> None:
        """From inactive to active: start the worker thread and subscribe."""
        self._statistics.reset()
        self._stamps.reset()
        self._num_jumps = 0
        self._images_stopped = False
        self._processor.start(self._target)
        self._worker = LatestWorker(self._process, name="inference")
        self._inputs.open(self._value("image_transport"))
        self._last_wanted = time.monotonic()
        # rclpy has no public list of the parameters that were given.
        for name, nearest in unused_overrides(self, self._parameter_overrides).items():
            self._reporter.error(
                log_messages.QOS_OVERRIDE_UNUSED.format(name=name, nearest=nearest)
            )
        # Steady time: with use_sim_time and no simulation, ROS time does not advance.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._check_timer = self.create_timer(_CHECK_PERIOD, self._check_inputs, clock=steady)
        if not self._value("autostart"):
            self._bond.start()
        depth, info = self._inputs.topics
        self.get_logger().info(
            log_messages.ACTIVE.format(depth_topic=depth, camera_info_topic=info)
        )

    def _stop(self) -> None:
        """To inactive, from any state: unsubscribe, stop the worker thread, clear the outputs."""
        if self._check_timer is not None:
            self.destroy_timer(self._check_timer)
            self._check_timer = None
        self._bond.stop()
        self._inputs.close()
        if self._worker is not None and not self._worker.stop(_STOP_TIMEOUT):
            self.get_logger().error(log_messages.INFERENCE_TIMEOUT.format(seconds=_STOP_TIMEOUT))
        self._worker = None
        self._processor.stop(_STOP_TIMEOUT)
        if self.context.ok():
            self._outputs.clear()

    def _release(self) -> None:
        """To unconfigured, from any state: release the model, destroy the publishers."""
        self._stop()
        self._estimator = None
        if self._target is not None:
            self._target.close()
            self._target, self._outputs.own_tf_subscriptions = None, 0
        self._outputs.close()

    # Executor's thread

    def _on_image(self, image: DepthMessage) -> None:
        gap = self._statistics.add_image()
        if self._images_stopped:
            self._images_stopped = False
            self.get_logger().info(log_messages.IMAGES_RESUMED.format(seconds=gap))
        if self._worker is None or self._is_idle():
            return
        arrival = time.monotonic()
        decision = self._stamps.decide(image.header.stamp, arrival)
        if decision.error:
            self._reporter.error(log_messages.IMAGE_IGNORED.format(error=decision.error))
        if not decision.use:
            self._statistics.add_unused(is_outlier=bool(decision.error))
            return
        if decision.jump < 0 or decision.jump > MAX_DISORDER:
            self._num_jumps += 1
            back = decision.jump < 0
            template = log_messages.TIME_JUMP if back else log_messages.TIME_JUMP_AHEAD
            self._reporter.info(template.format(seconds=abs(decision.jump)))
        self._worker.put(Frame(image, arrival, self._num_jumps))

    def _check_inputs(self) -> None:
        """Subscribe while a result has a subscriber, and report missing inputs."""
        if not self._is_idle():
            self._last_wanted = time.monotonic()
        elif time.monotonic() - self._last_wanted > _IDLE_TIME:
            self._inputs.suspend()
            return
        if not self._inputs.is_open:
            self._inputs.open(self._value("image_transport"))
            self._statistics.restart_times()
            self._images_stopped = False
        if self._inputs.camera_info is None:
            self._inputs.find_latched_camera_info()
        now = self._statistics.snapshot()
        if now.num_images and now.time_since_image > self._value("image_timeout"):
            if not self._images_stopped:
                self._images_stopped = True
                self._reporter.error(
                    log_messages.IMAGES_STOPPED.format(seconds=now.time_since_image)
                )
                self._processor.clear()
                self._diagnostics.update()
        elif now.time_since_result > REPEAT_PERIOD:
            message = self._inputs.missing(now.num_images, now.time_since_image)
            if message:
                self._reporter.error(message)

    def _observe(self) -> tuple[Snapshot, NodeStatus]:
        """For the diagnostics."""
        state = "unconfigured" if self._estimator is None else "inactive"
        return self._statistics.snapshot(), NodeStatus(
            state=state if self._worker is None else "active",
            transition_error=self._transition_error,
            image_timeout=self._value("image_timeout"),
            idle=self._is_idle(),
            dropped_frames=0 if self._worker is None else self._worker.dropped,
            model=self._value("model"),
            target_frame=frame_name(self._value("target_frame")),
        )

    def _is_idle(self) -> bool:
        return self._value("lazy") and not self._outputs.has_subscribers()

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        reason = parameters.rejection(changes, configured=self._estimator is not None)
        return SetParametersResult(successful=not reason, reason=reason)

    # Worker's thread

    def _process(self, frame: Frame) -> None:
        try:
            self._processor.process(frame, self._estimator, self._inputs.camera_info)
        except (DepthError, CameraError, CalibrationError) as error:
            self._reporter.error(log_messages.IMAGE_IGNORED.format(error=error))
        except Exception as error:  # the next frame may be valid: the thread must continue
            if self.context.ok():
                kind = type(error).__name__
                self._reporter.error(log_messages.FRAME_LOST.format(kind=kind, error=error))
                self.get_logger().debug("".join(traceback.format_exception(error)))

    # Any thread

    def _transition_failed(self, transition: str, error: Exception) -> None:
        self._transition_error = log_messages.TRANSITION_FAILED.format(
            transition=transition, error=error
        )
        self.get_logger().error(self._transition_error)
        self.get_logger().debug("".join(traceback.format_exception(error)))

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value
