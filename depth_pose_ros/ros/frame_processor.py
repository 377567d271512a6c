"""What is done with one depth image, on the worker's thread."""

import time
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo

from depth_pose_ros.core.calibration import Calibration
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.tracking.person_tracker import PersonTracker
from depth_pose_ros.ros import log_messages, parameters
from depth_pose_ros.ros.diagnostics import Reporter, Statistics
from depth_pose_ros.ros.held_results import HeldResults, Result
from depth_pose_ros.ros.inputs import DEPTH_TOPIC, DepthMessage, DepthReader
from depth_pose_ros.ros.outputs import Outputs
from depth_pose_ros.ros.stamps import age, to_seconds
from depth_pose_ros.ros.tf import FrameError, TargetFrame, frame_name


class Estimator(Protocol):
    """What the node needs of :class:`depth_pose_ros.PoseEstimator`."""

    def estimate(self, depth: NDArray[np.float32], camera: Camera) -> list[Pose]:
        """(H, W) float32 metres, 0 where missing -> one pose per person."""


class Frame(NamedTuple):
    """An image on its way to the worker's thread.

    Attributes:
        image: the message.
        arrival: seconds of the monotonic clock.
        num_jumps: of the images' clock, since the node was activated.
    """

    image: DepthMessage
    arrival: float
    num_jumps: int


class FrameProcessor:
    """From a depth message to published results: decode, estimate, track, transform, publish.

    Args:
        node: has the parameters.
        outputs, statistics, reporter: receive the results.
    """

    def __init__(
        self, node: LifecycleNode, outputs: Outputs, statistics: Statistics, reporter: Reporter
    ) -> None:
        self._node, self._outputs = node, outputs
        self._statistics, self._reporter = statistics, reporter
        self._reader: DepthReader | None = None
        self._tracker = PersonTracker()
        self._target: TargetFrame | None = None
        self._held: HeldResults | None = None
        self._num_jumps = 0
        self._source_frame = ""

    def start(self, target: TargetFrame | None) -> None:
        """Begin anew, with results in a target frame (on activate)."""
        self._reader = DepthReader(self._value("rectified"), self._on_calibration)
        self._tracker.reset()
        self._num_jumps = 0
        self._target = target
        if target is not None:
            self._held = HeldResults(target, self._publish, self._on_frame_error)

    def stop(self, timeout: float) -> None:
        """Discard the results that wait for a transform (on deactivate)."""
        held, self._held = self._held, None
        if held is not None:
            held.stop(timeout)

    def clear(self) -> None:
        """Publish that there are no people, and discard results that wait."""
        if self._held is not None:
            self._held.clear()
        self._outputs.clear()

    def process(self, frame: Frame, estimator: Estimator | None, info: CameraInfo | None) -> None:
        """Process one image.

        Raises:
            DepthError, CameraError, CalibrationError: an unusable image or camera_info.
        """
        image, reader = frame.image, self._reader
        assert reader is not None, "start() comes first"
        self._handle_jumps(frame.num_jumps)
        decoded = reader.decode(image, self._value("depth_scale"))
        if estimator is None or info is None:  # the node reports it if it lasts
            return
        depth, camera = reader.rectify(decoded, info)
        if not depth.any():
            self._reporter.error(log_messages.NO_VALID_PIXEL)
        self._normalize_frame(image)
        people = self._tracker.people(
            estimator.estimate(depth, camera),
            to_seconds(image.header.stamp),
            camera,
            parameters.tracker_options(self._node),
            self._value("min_person_score"),
        )
        self._outputs.publish_2d(image.header, depth, people)
        valid_share = np.count_nonzero(decoded) / decoded.size
        result = Result(image.header, people, frame.arrival, valid_share)
        if self._target is None:
            self._publish(result)
        elif self._held is not None:
            self._held.put(result, self._value("tf_timeout"))

    def _normalize_frame(self, image: DepthMessage) -> None:
        """Names as in ROS 1 begin with a slash, which tf2 refuses."""
        given = image.header.frame_id
        image.header.frame_id = frame = frame_name(given)
        if not frame:
            self._reporter.error(log_messages.NO_FRAME_ID)
        elif given not in (frame, self._source_frame):
            self._source_frame = given
            message = log_messages.FRAME_NAME_CHANGED.format(given=given, frame=frame)
            self._reporter.warning(message)

    def _handle_jumps(self, num_jumps: int) -> None:
        """Start afresh where the images' clock has jumped since the last frame."""
        if num_jumps == self._num_jumps:
            return
        self._num_jumps = num_jumps
        self._tracker.reset()
        self.clear()
        if self._target is not None:
            self._target.clear()

    def _on_calibration(self, calibration: Calibration) -> None:
        topic = self._node.resolve_topic_name(DEPTH_TOPIC)
        undistorted = calibration.undistortion is not None
        template = log_messages.CALIBRATION_UNDISTORTED if undistorted else log_messages.CALIBRATION
        self._node.get_logger().info(template.format(camera=calibration.camera))
        if calibration.ignored_distortion and "raw" in topic and "rect" not in topic:
            self._reporter.warning(log_messages.DISTORTION_IGNORED.format(topic=topic))
        for assumption in calibration.assumptions:
            message = log_messages.CALIBRATION_ASSUMPTION.format(assumption=assumption)
            self._reporter.warning(message)

    def _publish(self, result: Result) -> None:
        """Publish a result in its frame; called one by one."""
        self._outputs.publish_3d(result.header, result.people)
        latency = age(result.header.stamp, self._node.get_clock().now().nanoseconds)
        since_arrival = time.monotonic() - result.arrival
        people, valid_share = len(result.people), result.valid_share
        self._statistics.add_result(people, since_arrival, latency, valid_share)

    def _on_frame_error(self, error: FrameError) -> None:
        self._reporter.error(log_messages.NOT_PUBLISHED.format(error=error))

    def _value(self, name: str) -> Any:
        return self._node.get_parameter(name).value
