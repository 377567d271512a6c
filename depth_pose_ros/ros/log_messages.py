"""Templates of what the node tells its user: log messages, diagnostics, refused parameters.

docs/troubleshooting.md explains the errors and warnings; test/repository/test_docs.py compares the
two.  Errors of :mod:`depth_pose_ros.core` appear as ``{error}``.
"""

# Information

ACTIVE = "Active: depth from {depth_topic}, calibration from {camera_info_topic}"
CALIBRATION = "Calibration: {camera}"
CALIBRATION_UNDISTORTED = "Calibration: {camera}; the distortion D is removed"
IMAGES_RESUMED = "Depth images again, after {seconds:.1f} s"
TIME_JUMP = "Time has jumped back by {seconds:.1f} s: tracking is reset"
TIME_JUMP_AHEAD = "Time has jumped ahead by {seconds:.1f} s: tracking is reset"
NO_BOND = (
    "bondpy is not installed: if Nav2's lifecycle manager starts this node, set the manager's "
    "parameter bond_timeout to 0.0"
)
INFORMATION = (
    *(ACTIVE, CALIBRATION, CALIBRATION_UNDISTORTED, IMAGES_RESUMED, TIME_JUMP, TIME_JUMP_AHEAD),
    NO_BOND,
)

# Start, lifecycle and parameters

TRANSITION_FAILED = "Cannot {transition}: {error}"
STAYS_UNCONFIGURED = (
    "The node stays unconfigured. Correct its parameters, for example `ros2 param set {node} model "
    "<file>`, then `ros2 lifecycle set {node} configure` and `ros2 lifecycle set {node} activate`"
)
RESET_AFTER_ERROR = "A transition from state {state} failed: the node is unconfigured again"
INFERENCE_TIMEOUT = "The inference has not ended after {seconds:.0f} s: its thread is abandoned"
OLD_PARAMETER_NAME = (
    "Parameter {old} is now named {new}; the old name will not be read by the next release"
)
PARAMETER_NEEDS_UNCONFIGURED = (
    "{name} can change only while the node is unconfigured: first `ros2 lifecycle set <node> "
    "deactivate` and `cleanup`, then set it, then `configure` and `activate`"
)
QOS_OVERRIDE_UNUSED = (
    "Parameter {name} has no effect: no subscription or publisher has this topic and policy. The "
    "nearest valid name is {nearest}"
)
BOND_BROKEN = "No bond with a lifecycle manager: the manager has ended or does not use bonds"

# Inputs

NO_IMAGE = (
    "No depth image on {topic} for {seconds:.0f} s ({publishers} publishers): is the camera "
    "running, and is depth/image remapped to its topic?"
)
NO_CAMERA_INFO = (
    "Depth images arrive, but no camera_info on {topic} ({publishers} publishers): is "
    "depth/camera_info remapped to the topic beside the depth image?"
)
IMAGES_STOPPED = "No depth image for {seconds:.1f} s: the camera has stopped"
IMAGE_IGNORED = "Depth image ignored: {error}"
CV_BRIDGE_ERROR = "cv_bridge cannot decode it: {error}"
STAMP_BEFORE_1970 = "its stamp is {seconds} s, before 1970: the driver's clock is wrong"
STAMP_ZERO = "its stamp is 0: the driver must set the time of acquisition"
STAMP_AHEAD = "its stamp is {seconds:.1f} s ahead of the images before it"
STAMP_BEHIND = "its stamp is {seconds:.1f} s behind the images before it"
STAMP_REPEATED = "it has the same stamp as the images before it: the driver's clock stands still"
NO_VALID_PIXEL = "The depth image has no valid pixel: is the sensor covered or too near?"
NO_FRAME_ID = "The depth image has no frame_id: set it in the driver, TF needs it"
FRAME_NAME_CHANGED = "The frame '{given}' of the depth image is published as '{frame}'"
CALIBRATION_ASSUMPTION = "Calibration: {assumption}"
DISTORTION_IGNORED = (
    "The distortion D of camera_info is ignored because the parameter rectified is true, but the "
    "name {topic} suggests an image that is not rectified: if so, set rectified to false"
)

# Results

FRAME_LOST = "Frame lost: {kind}: {error}"
NOT_PUBLISHED = "Nothing published: {error}"
NO_TRANSFORM = (
    "no transform from '{source}' to target_frame '{target}' at the image's time: {error}. Is it "
    "published? Try `ros2 run tf2_ros tf2_echo {target} {source}`"
)
NO_SOURCE_FRAME = "the depth image has no frame_id, so there is no transform to '{target}'"

# Diagnostics

STATUS_OK = "{people} people, {rate:.1f} Hz"
STATUS_IDLE = "Idle: no result has a subscriber"
STATUS_NOT_ACTIVE = "Not active: {state}"
STATUS_NO_IMAGE = "No depth image for {seconds:.0f} s"
STATUS_FEW_PIXELS = (
    "Only {percent:.0f} % of the depth image's pixels are valid: people may be missed"
)
STATUS_NO_RESULT = "Depth images arrive, but there has been no result for {seconds:.0f} s"

TEMPLATES = {
    name: value for name, value in globals().items() if name.isupper() and isinstance(value, str)
}
