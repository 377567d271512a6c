"""People -> TF and cloud: names, values, headers."""

import numpy as np
import pytest

from helpers.poses import CAMERA, standing

pytest.importorskip("sensor_msgs", reason="needs ROS messages: `make setup` installs them")

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, JOINTS, NUM_JOINTS
from depth_pose_ros.core.tracking.person_tracker import Person, identify
from depth_pose_ros.ros.messages import (
    CLOUD_DTYPE,
    FRAME_NAMES,
    cloud,
    published_joints,
    transforms,
)
from helpers.clouds import unpack

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="kinect2_ir_optical_frame")


def with_confidence(pose: Pose, **confidence: float) -> Pose:
    changed = pose.confidence.copy()
    for name, value in confidence.items():
        changed[INDEX[name]] = value
    return Pose(pose.joints, pose.pixels, changed, pose.score)


def rotation_matrix(q) -> np.ndarray:
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    )


def vector(v) -> np.ndarray:
    return np.array((v.x, v.y, v.z))


def test_frame_names_follow_rep_155():
    assert dict(zip(JOINTS, FRAME_NAMES, strict=True)) == {
        "Head": "head",
        "Neck": "neck",
        "UpperSpine": "torso",
        "MiddleSpine": "middle_spine",
        "DownSpine": "waist",
        "RightShoulder": "r_shoulder",
        "RightElbow": "r_elbow",
        "RightWrist": "r_wrist",
        "RightHand": "r_hand",
        "LeftShoulder": "l_shoulder",
        "LeftElbow": "l_elbow",
        "LeftWrist": "l_wrist",
        "LeftHand": "l_hand",
        "RightHip": "r_hip",
        "RightKnee": "r_knee",
        "RightFoot": "r_ankle",
        "LeftHip": "l_hip",
        "LeftKnee": "l_knee",
        "LeftFoot": "l_ankle",
    }


def test_people_are_numbered_from_left_to_right():
    poses = [standing(x=0.5), standing(x=-0.8), standing(x=0.1)]
    people = identify(poses)
    assert [person.number for person in people] == [0, 1, 2]
    assert [person.pose for person in people] == [poses[1], poses[2], poses[0]]
    assert identify([]) == []


def test_body_frame_is_a_child_of_the_sensor_and_joints_are_children_of_the_body():
    frames = transforms(HEADER, [Person(3, standing())], "p", 0.0)
    assert len(frames) == NUM_JOINTS + 1
    root, *joints = frames
    assert (root.header, root.child_frame_id) == (HEADER, "body_p3")
    assert {t.header.frame_id for t in joints} == {"body_p3"}
    assert all(t.header.stamp == HEADER.stamp for t in joints)
    assert [t.child_frame_id for t in joints] == [f"{name}_p3" for name in FRAME_NAMES]


def test_chained_transforms_give_the_joint_positions():
    people = [Person(0, standing(x=0.4, z=3.1, yaw=0.7)), Person(1, standing(x=-0.4, yaw=2.5))]
    frames = transforms(HEADER, people, "p", 0.0)
    for number, person in enumerate(people):
        root, *joints = frames[number * (NUM_JOINTS + 1) : (number + 1) * (NUM_JOINTS + 1)]
        rotation = rotation_matrix(root.transform.rotation)
        origin = vector(root.transform.translation)
        for t, expected in zip(joints, person.pose.joints, strict=True):
            actual = rotation @ vector(t.transform.translation) + origin
            np.testing.assert_allclose(actual, expected, atol=1e-5)
            np.testing.assert_array_equal(rotation_matrix(t.transform.rotation), np.eye(3))
        # The projected frames are the pixels of the pose.
        pixels = CAMERA.project(
            [rotation @ vector(t.transform.translation) + origin for t in joints]
        )
        np.testing.assert_allclose(pixels, person.pose.pixels, atol=1e-2)


def test_axes_of_the_body_frame():
    _, *joints = transforms(HEADER, [Person(0, standing(yaw=1.0))], "p", 0.0)
    by_name = {t.child_frame_id: vector(t.transform.translation) for t in joints}
    np.testing.assert_allclose(by_name["head_p0"], (0.0, 0.0, 0.70), atol=1e-5)
    np.testing.assert_allclose(by_name["l_shoulder_p0"], (0.0, 0.20, 0.45), atol=1e-5)
    np.testing.assert_allclose(by_name["r_shoulder_p0"], (0.0, -0.20, 0.45), atol=1e-5)


def test_low_confidence_joints_are_not_published():
    pose = with_confidence(standing(), LeftHand=0.29, Head=0.3)
    people = [Person(0, pose)]
    names = [t.child_frame_id for t in transforms(HEADER, people, "cam1p", 0.3)]
    assert "l_hand_cam1p0" not in names and "head_cam1p0" in names
    assert len(names) == NUM_JOINTS
    assert cloud(HEADER, people, 0.3).width == NUM_JOINTS - 1


def test_joints_that_are_not_finite_are_not_published():
    joints = standing().joints.copy()
    joints[INDEX["LeftHand"], 2] = np.nan
    pose = Pose(joints, standing().pixels, standing().confidence, 0.9)
    assert published_joints(Person(0, pose), 0.0) == [
        i for i in range(NUM_JOINTS) if JOINTS[i] != "LeftHand"
    ]


def test_cloud_contains_all_joints_of_all_people():
    people = [Person(0, standing(x=-0.5)), Person(7, with_confidence(standing(x=0.5), Neck=0.25))]
    message = cloud(HEADER, people, 0.0)
    points = unpack(message)
    assert message.header == HEADER
    assert (message.height, message.width, message.is_dense) == (1, 2 * NUM_JOINTS, True)
    assert not message.is_bigendian
    assert message.row_step == message.point_step * message.width == len(message.data)
    assert points["person"].tolist() == [0] * NUM_JOINTS + [7] * NUM_JOINTS
    assert points["joint"].tolist() == [*range(NUM_JOINTS)] * 2
    for number, person in enumerate(people):
        part = points[number * NUM_JOINTS : (number + 1) * NUM_JOINTS]
        actual = np.stack((part["x"], part["y"], part["z"]), axis=-1)
        np.testing.assert_array_equal(actual, person.pose.joints)
        np.testing.assert_array_equal(part["confidence"], person.pose.confidence)


def test_empty_cloud_has_all_fields():
    message = cloud(HEADER, [], 0.0)
    assert (message.width, len(message.data), message.point_step) == (0, 0, 24)
    assert [f.name for f in message.fields] == list(CLOUD_DTYPE.names)
    assert transforms(HEADER, [], "p", 0.0) == []
