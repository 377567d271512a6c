"""People -> TF, point cloud and poses: pure functions.

Every message has the header that is passed, and every number is a Python number, so that the
messages are also valid with ``ROS_PYTHON_CHECK_FIELDS=1``.
"""

import re
from array import array
from collections.abc import Iterable, Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseArray, Quaternion, TransformStamped, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pose_ros.core.body_frame import body_frame, quaternion
from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_ros.core.tracking.person_tracker import Person

#: Names of REP-155.  Its torso lies between the shoulders, its waist between the hips, and its legs
#: end at the ankles, where the feet of this skeleton are.
_REP_155 = {
    "UpperSpine": "torso",
    "DownSpine": "waist",
    "LeftFoot": "l_ankle",
    "RightFoot": "r_ankle",
}


def _frame_name(joint: str) -> str:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", joint).lower()
    return _REP_155.get(joint, re.sub(r"^(l|r)(eft|ight)_", r"\1_", snake))


#: TF frame of every joint, without the body id, in the order of the skeleton.
FRAME_NAMES: tuple[str, ...] = tuple(_frame_name(joint) for joint in JOINTS)

#: One joint of one person; little-endian, aligned to its widest field.
CLOUD_DTYPE = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("confidence", "<f4"),
        ("joint", "<u4"),
        ("person", "<u4"),
    ]
)
_POINT_FIELD_TYPES = {"<f4": PointField.FLOAT32, "<u4": PointField.UINT32}


def published_joints(person: Person, min_confidence: float) -> list[int]:
    """Indices of the joints with at least this confidence and a finite position."""
    pose = person.pose
    keep = (pose.confidence >= min_confidence) & np.isfinite(pose.joints).all(axis=1)
    return np.flatnonzero(keep).tolist()


def body_id(person: Person, prefix: str) -> str:
    """REP-155's body id; begins with a letter, because it is the end of frame names."""
    return f"{prefix}{person.number}"


def transforms(
    header: Header, people: Iterable[Person], id_prefix: str, min_confidence: float
) -> list[TransformStamped]:
    """TF frames as REP-155 names them.

    ``body_<id>``, a child of the header's frame, has its origin between the hips, x out of the
    chest and z towards the head.  ``<part>_<id>`` of every published joint is a child of
    ``body_<id>`` and parallel to it.
    """
    result = []
    for person in people:
        identifier = body_id(person, id_prefix)
        root = f"body_{identifier}"
        origin, axes = body_frame(person.pose.joints)
        result.append(_transform(header, root, origin.tolist(), quaternion(axes)))
        child_header = Header(stamp=header.stamp, frame_id=root)
        offsets = ((person.pose.joints - origin) @ axes).tolist()
        for joint in published_joints(person, min_confidence):
            child = f"{FRAME_NAMES[joint]}_{identifier}"
            result.append(_transform(child_header, child, offsets[joint], (0.0, 0.0, 0.0, 1.0)))
    return result


def poses(header: Header, people: Iterable[Person]) -> PoseArray:
    """The frames ``body_<id>`` of all people as poses, in the order of their numbers."""
    result = PoseArray(header=header)
    for person in sorted(people, key=lambda person: person.number):
        origin, axes = body_frame(person.pose.joints)
        if not np.isfinite(origin).all() or not np.isfinite(axes).all():
            continue
        (x, y, z), (qx, qy, qz, qw) = origin.tolist(), quaternion(axes)
        result.poses.append(
            Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
        )
    return result


def _transform(
    header: Header,
    child: str,
    translation: Sequence[float],
    rotation: tuple[float, float, float, float],
) -> TransformStamped:
    result = TransformStamped(header=header, child_frame_id=child)
    x, y, z = translation
    result.transform.translation = Vector3(x=x, y=y, z=z)
    qx, qy, qz, qw = rotation
    result.transform.rotation = Quaternion(x=qx, y=qy, z=qz, w=qw)
    return result


def cloud(header: Header, people: Iterable[Person], min_confidence: float) -> PointCloud2:
    """All published joints as one unordered cloud; fields as in :data:`CLOUD_DTYPE`.

    ``joint`` is the index into :data:`depth_pose_ros.core.skeleton.JOINTS`, ``person`` the person's
    number.  All points are finite, so ``is_dense`` is true.
    """
    parts = [np.empty(0, CLOUD_DTYPE)]
    for person in people:
        joints = published_joints(person, min_confidence)
        points = np.empty(len(joints), CLOUD_DTYPE)
        points["x"], points["y"], points["z"] = person.pose.joints[joints].T
        points["confidence"] = person.pose.confidence[joints]
        points["joint"] = joints
        points["person"] = person.number
        parts.append(points)
    packed = np.concatenate(parts)
    return PointCloud2(
        header=header,
        height=1,
        width=len(packed),
        fields=_cloud_fields(),
        is_bigendian=False,
        point_step=CLOUD_DTYPE.itemsize,
        row_step=packed.nbytes,
        data=array("B", packed.tobytes()),  # rclpy copies bytes one by one, an array in one step
        is_dense=True,
    )


def _cloud_fields() -> list[PointField]:
    assert CLOUD_DTYPE.fields is not None
    return [
        PointField(name=name, offset=offset, datatype=_POINT_FIELD_TYPES[dtype.str], count=1)
        for name, (dtype, offset, *_) in CLOUD_DTYPE.fields.items()
    ]
