"""Options of the node alone, and all node parameters: names, defaults and constraints.

Imports no ROS, so launch files and scripts can read it.
"""

from dataclasses import dataclass

from depth_pose_ros.core.options import (
    Checked,
    Constraint,
    EstimatorOptions,
    Value,
    constraints,
    option,
)
from depth_pose_ros.core.tracking.options import TrackerOptions

TRACKER_PREFIX = "tracking_"  #: in front of the names of :class:`TrackerOptions`


@dataclass(frozen=True)
class NodeOptions(Checked):
    """Parameters of ``depth_pose_node`` that are not options of the estimator or the tracker.

    Raises:
        ValueError: a value out of its range; names the option.
    """

    autostart: bool = option(
        True,
        "Configure and activate the node at start. Set to false if a lifecycle manager does it.",
        change="start",
    )
    rectified: bool = option(
        True,
        "Whether the depth image is rectified (image_rect topics). True: P of camera_info is used "
        "and D is ignored. False (image_raw): K is used and the distortion D is removed.",
        change="start",
    )
    image_transport: str = option(
        "raw",
        "Transport of the depth image: raw (sensor_msgs/Image on depth/image), compressedDepth "
        "(PNG or RVL on depth/image/compressedDepth) or compressed (16-bit PNG or TIFF on "
        "depth/image/compressed).",
        pattern="raw|compressedDepth|compressed",
        change="unconfigured",
    )
    depth_scale: float = option(
        0.001,
        "Metres per unit of 16-bit depth images (16UC1, mono16). 0.001 is that of REP-118.",
        low=1e-6,
        high=1.0,
    )
    target_frame: str = option(
        "",
        "TF frame of the results, for example map or base_link. Empty: frame of the depth image.",
        pattern=r"\S*",
        change="unconfigured",
    )
    tf_timeout: float = option(
        0.5,
        "Time for which a result waits for the transform to target_frame, in seconds.",
        low=0.0,
        high=10.0,
    )
    lazy: bool = option(
        True, "Subscribe to the camera only while at least one result has a subscriber."
    )
    count_tf_subscribers: bool = option(
        True,
        "Whether a subscriber of /tf counts as a subscriber for lazy. On most robots some node "
        "always subscribes to /tf; with false, TF is sent only while another result has a "
        "subscriber.",
    )
    image_timeout: float = option(
        1.0,
        "Time without a depth image, in seconds, after which the camera is reported as stopped and "
        "all published people are cleared.",
        low=0.1,
        high=60.0,
    )
    min_confidence: float = option(
        0.0,
        "Minimum joint confidence in [0, 1]; joints with lower confidence are not published.",
        low=0.0,
        high=1.0,
    )
    publish_markers: bool = option(True, "Publish ~/markers for RViz.", change="start")
    publish_tf: bool = option(True, "Publish a TF frame for every joint.", change="start")
    publish_cloud: bool = option(
        True, "Publish ~/joints, a point cloud of all joints.", change="start"
    )
    publish_poses: bool = option(
        True, "Publish ~/poses, the position and orientation of each person.", change="start"
    )
    publish_overlay: bool = option(
        True, "Publish ~/overlay, the skeletons drawn over the depth image.", change="start"
    )
    publish_ros4hri: bool = option(
        True,
        "Publish the topics of REP-155 (ROS4HRI) below /humans/bodies, if hri_msgs is installed.",
        change="start",
    )
    id_prefix: str = option(
        "p",
        "Prefix of body ids: with p, a TF frame is named head_p0. TF names are global, so each "
        "camera needs its own prefix.",
        pattern=r"[A-Za-z][A-Za-z0-9]*",
        change="start",
    )
    marker_lifetime: float = option(
        0.25,
        "Lifetime of the markers in RViz, in seconds; 0 means unlimited.",
        low=0.0,
        high=60.0,
    )
    joint_diameter: float = option(
        0.05,
        "Diameter of the joint markers, in metres; the width of the bones is proportional to it.",
        low=0.005,
        high=0.5,
    )
    tracking: bool = option(
        True,
        "Track people across frames: ids are persistent and joints are filtered. False: each frame "
        "is processed alone and ids are assigned from left to right.",
    )


def defaults() -> dict[str, tuple[Value, Constraint]]:
    """Default and constraint of every node parameter, by name."""
    result: dict[str, tuple[Value, Constraint]] = {}
    for prefix, options in (
        ("", EstimatorOptions),
        ("", NodeOptions),
        (TRACKER_PREFIX, TrackerOptions),
    ):
        for name, constraint in constraints(options).items():
            if constraint.parameter:
                result[prefix + name] = getattr(options, name), constraint
    return result


def parameter_table() -> list[tuple[str, str, str]]:
    """Name, default and description of every node parameter, as the README lists them."""

    def text(value: Value) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value) or '""'

    return [(name, text(value), c.description) for name, (value, c) in defaults().items()]


if __name__ == "__main__":  # rows of the README's table
    for row in parameter_table():
        print("| `{}` | `{}` | {} |".format(*row))
