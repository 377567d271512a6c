"""The node: depth images in, skeletons out.

Thin on purpose: parameters, threads and the life cycle.  Reading, estimation, numbering, conversion
and counting are elsewhere.
"""

import time
import traceback
from collections.abc import Iterable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.lifecycle.node import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.timer import Timer

from depth_pose_ros.core.calibration import Calibration, CalibrationError
from depth_pose_ros.core.camera import CameraError
from depth_pose_ros.core.depth import DepthError
from depth_pose_ros.core.options import EstimatorOptions, constraints
from depth_pose_ros.core.tracking.person_tracker import PersonTracker
from depth_pose_ros.ros import parameters
from depth_pose_ros.ros.diagnostics import Circumstances, Diagnostics
from depth_pose_ros.ros.estimator_loading import (
    Estimator,
    EstimatorFactory,
    load_estimator,
)
from depth_pose_ros.ros.health import Health, Report
from depth_pose_ros.ros.inputs import DEPTH_TOPIC, DepthMessage, Inputs, metres
from depth_pose_ros.ros.outputs import Outputs, View
from depth_pose_ros.ros.reader import DepthReader
from depth_pose_ros.ros.tf import FrameError, TargetFrame
from depth_pose_ros.ros.throttle import Throttle
from depth_pose_ros.ros.timeline import Timeline, age, seconds
from depth_pose_ros.ros.worker import LatestWorker

NODE_NAME = "depth_pose_node"

REPEAT_AFTER = 5.0  #: seconds before the same complaint is made again, or of silence before one
_WATCH = 0.2  # seconds between two looks at what is missing
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
        self._worker: LatestWorker[tuple[DepthMessage, float]] | None = None
        self._watch: Timer | None = None
        self._target: TargetFrame | None = None
        self._failure = ""
        self._gone = False  # the camera
        self._timeline = Timeline()
        self._throttle = Throttle(REPEAT_AFTER)
        self._health = Health()
        self._identities = PersonTracker()
        # Before super(), because rclpy also destroys nodes that are half made.
        self._inputs, self._outputs = Inputs(self, self._on_image), Outputs(self)
        super().__init__(NODE_NAME, **options)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        parameters.declare(self)
        self._reader = DepthReader(self._value("rectified"), self._on_calibration)
        self._diagnostics = Diagnostics(self, self._observe)

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
        options = EstimatorOptions(
            **{n: self._value(n) for n, c in constraints(EstimatorOptions).items() if c.parameter}
        )
        try:
            self._estimator = self._make_estimator(options)
            self._outputs.open()
            if self._value("target_frame"):
                self._target = TargetFrame(self, self._value("target_frame"))
                self._outputs.own_listeners = 1
        except Exception as error:  # whatever it is, the node must live on and say so
            self._fail("configure", error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._failure = ""
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._start()
        except Exception as error:  # rclpy would keep it to itself
            self._fail("activate", error)
            self._stop()
            return TransitionCallbackReturn.FAILURE
        self._failure = ""
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
        self._health.begin()
        self._timeline.begin()
        self._gone = False
        self._identities.reset()
        self._worker = LatestWorker(self._process, name="inference")
        self._inputs.open(self._value("image_transport"))
        # A clock of its own: with use_sim_time and no simulation, ROS time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._watch = self.create_timer(_WATCH, self._on_watch, clock=steady)
        depth, info = self._inputs.topics
        self.get_logger().info(f"Active: depth from {depth}, calibration from {info}")

    def _stop(self) -> None:
        """Back to inactive, from wherever: no input, no work, nothing drawn."""
        if self._watch is not None:
            self.destroy_timer(self._watch)
            self._watch = None
        self._inputs.close()
        if self._worker is not None and not self._worker.stop(_LONGEST_INFERENCE):
            self.get_logger().error("The inference hangs; its thread is left behind")
        self._worker = None
        if self.context.ok():
            self._outputs.take_back()

    def _release(self) -> None:
        """Back to unconfigured: no model, no publishers."""
        self._stop()
        self._estimator = None
        if self._target is not None:
            self._target.close()
            self._target, self._outputs.own_listeners = None, 0
        self._outputs.close()

    # Executor's thread

    def _on_image(self, image: DepthMessage) -> None:
        silence = self._health.image()
        if self._gone:
            self._gone = False
            self.get_logger().info(f"Depth images again, after {silence:.1f} s")
        if self._worker is not None and not self._resting():
            self._worker.put((image, time.monotonic()))

    def _on_watch(self) -> None:
        """Say what is missing: a silent node is the hardest one to put right."""
        report = self._health.report()
        if report.images and report.silence > self._value("stale_after"):
            if not self._gone:
                self._gone = True
                self._report(f"No depth image for {report.silence:.1f} s: the camera has gone")
                self._outputs.take_back()
                self._diagnostics.update()
        elif report.idle > REPEAT_AFTER:
            complaint = self._inputs.complaint(report.images, report.silence)
            if complaint:
                self._report(complaint)

    def _observe(self) -> tuple[Report, Circumstances]:
        """For the diagnostics."""
        configured = "unconfigured" if self._estimator is None else "inactive"
        return self._health.report(), Circumstances(
            state=configured if self._worker is None else "active",
            failure=self._failure,
            stale_after=self._value("stale_after"),
            resting=self._resting(),
            dropped=0 if self._worker is None else self._worker.dropped,
            model=self._value("model"),
            frame=self._value("target_frame"),
        )

    def _resting(self) -> bool:
        return self._value("lazy") and not self._outputs.wanted()

    def _on_set_parameters(self, changes: Iterable[Parameter]) -> SetParametersResult:
        reason = parameters.refusal(changes, configured=self._estimator is not None)
        return SetParametersResult(successful=not reason, reason=reason)

    # Worker's thread

    def _process(self, item: tuple[DepthMessage, float]) -> None:
        image, arrived = item
        try:
            self._estimate(image, arrived)
        except (DepthError, CameraError, CalibrationError) as error:
            self._report(f"Depth image ignored: {error}")
        except FrameError as error:
            self._report(f"Nothing published: {error}")
        except Exception as error:  # the next frame may be good: the thread must live on
            if self.context.ok():
                self._report(f"Frame lost: {type(error).__name__}: {error}")
                self.get_logger().debug("".join(traceback.format_exception(error)))

    def _estimate(self, image: DepthMessage, arrived: float) -> None:
        self._follow_time(image)
        estimator, info = self._estimator, self._inputs.camera_info
        raw = metres(image, self._reader)
        if estimator is None or info is None:  # the watch says so if it lasts
            return
        depth, camera = self._reader.rectified(raw, info)
        if not depth.any():
            self._report("The depth image has no valid pixel: is the sensor covered or too near?")
        if not image.header.frame_id:
            self._report("The depth image has no frame_id: set it in the driver, TF needs it")
        people = self._identities.people(
            estimator.estimate(depth, camera),
            seconds(image.header.stamp),
            camera,
            parameters.tracker_settings(self),
        )
        self._outputs.publish_view(View(image.header, depth, people))
        header, placed = image.header, people
        if self._target is not None:
            header, placed = self._target.place(image.header, people)
        self._outputs.publish(header, placed)
        latency = age(image.header.stamp, self.get_clock().now().nanoseconds)
        self._health.result(len(people), time.monotonic() - arrived, latency)

    def _follow_time(self, image: DepthMessage) -> None:
        """Start afresh where time jumps back: a bag that loops, a simulation that is reset."""
        back = self._timeline.jump(image.header.stamp)
        if not back:
            return
        message = f"Time has jumped back by {back:.1f} s: starting afresh"
        if self._throttle.admits(message):  # two cameras on one topic would never end it
            self.get_logger().info(message)
        self._identities.reset()
        self._outputs.take_back()
        if self._target is not None:
            self._target.clear()

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
        self._failure = f"Cannot {transition}: {error}"
        self.get_logger().error(self._failure)
        self.get_logger().debug("".join(traceback.format_exception(error)))

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _report(self, message: str) -> None:
        self._health.fault(message)
        if self._throttle.admits(message):
            self.get_logger().error(message)
