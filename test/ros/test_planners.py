"""Cloud and poses as their subscribers read them: Nav2's obstacle layer, followers."""

import struct

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from geometry_msgs.msg import PoseArray
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros.messages import cloud, poses, transforms
from depth_pose_ros.ros.tf import rotation_matrix
from helpers.node_harness import FRAME, NodeHarness, camera_info, depth_image, stamps
from helpers.poses import standing
from helpers.room import ROTATION, in_room

HEADER = Header(frame_id=FRAME)
MIN_OBSTACLE_HEIGHT, MAX_OBSTACLE_HEIGHT = 0.1, 2.0  # metres, in the map
OBSTACLE_MAX_RANGE = 6.0  # metres from the sensor
RESOLUTION = 0.05  # metres a cell


def floats(message: PointCloud2, name: str) -> list[float]:
    """One field of every point, as ``PointCloud2ConstIterator<float>`` reads it: by its offset."""
    (field,) = (f for f in message.fields if f.name == name)
    assert (field.datatype, field.count) == (PointField.FLOAT32, 1)
    byte_order = ">" if message.is_bigendian else "<"
    data = bytes(message.data)
    return [
        struct.unpack_from(f"{byte_order}f", data, i * message.point_step + field.offset)[0]
        for i in range(message.width * message.height)
    ]


def marked(message: PointCloud2, sensor: tuple[float, float, float]) -> set[tuple[int, int]]:
    """The cells that the obstacle layer marks for a cloud in the map's frame."""
    assert len(message.data) == message.row_step * message.height
    cells = set()
    for point in zip(*(floats(message, axis) for axis in "xyz"), strict=True):
        assert all(map(np.isfinite, point)), "NaN would pass the comparison of heights"
        if not MIN_OBSTACLE_HEIGHT <= point[2] <= MAX_OBSTACLE_HEIGHT:
            continue
        if np.hypot(point[0] - sensor[0], point[1] - sensor[1]) < OBSTACLE_MAX_RANGE:
            cells.add((int(point[0] // RESOLUTION), int(point[1] // RESOLUTION)))
    return cells


def in_the_map(person: Person, x: float = 0.0) -> Person:
    pose = person.pose
    joints = in_room(pose.joints, x).astype(np.float32)
    return Person(person.number, Pose(joints, pose.pixels, pose.confidence, pose.score))


def test_person_is_an_obstacle_at_its_position():
    person = in_the_map(Person(0, standing(x=0.5, z=3.0)))  # 1 m above the floor: the hips
    cells = marked(cloud(Header(frame_id="map"), [person], 0.0), (0.0, -2.0, 1.0))
    xs, ys = np.array(sorted(cells)).T * RESOLUTION
    assert cells and (np.abs(xs - 3.0) < 0.3).all() and (np.abs(ys + 2.5) < 0.35).all()
    feet = in_room(standing(x=0.5, z=3.0).joints, 0.0)[INDEX["LeftFoot"]]
    assert feet[2] == pytest.approx(0.18), "only points between the heights count"


def test_joints_that_are_not_finite_are_not_in_the_cloud():
    pose = standing()
    joints = pose.joints.copy()
    joints[3] = np.nan
    joints[5, 1] = np.inf
    person = Person(0, Pose(joints, pose.pixels, pose.confidence, pose.score))
    message = cloud(HEADER, [person], 0.0)
    assert message.width == NUM_JOINTS - 2 and message.is_dense
    marked(message, (0.0, 0.0, 0.0))


def test_empty_cloud_marks_no_cell():
    message = cloud(HEADER, [], 0.0)
    assert marked(message, (0.0, 0.0, 0.0)) == set()
    assert {"x", "y", "z"} <= {f.name for f in message.fields}, "iterators need them"


def test_poses_are_the_body_frames_in_order_of_number():
    people = [Person(4, standing(x=0.6, yaw=0.4)), Person(1, standing(x=-0.6, z=3.0))]
    message = poses(HEADER, people)
    assert message.header == HEADER and len(message.poses) == 2
    roots = {
        t.child_frame_id: t.transform
        for t in transforms(HEADER, people, "p", 0.0)
        if t.child_frame_id.startswith("body_")
    }
    for pose, name in zip(message.poses, ("body_p1", "body_p4"), strict=True):
        there = roots[name].translation
        assert (pose.position.x, pose.position.y, pose.position.z) == (there.x, there.y, there.z)
        assert pose.orientation == roots[name].rotation
    # A person facing the camera looks along its -z axis.
    forward = rotation_matrix(message.poses[0].orientation) @ (1.0, 0.0, 0.0)
    np.testing.assert_allclose(forward, (0.0, 0.0, -1.0), atol=1e-6)


def test_body_that_is_not_finite_has_no_pose():
    pose = standing()
    joints = np.full_like(pose.joints, np.nan)
    invalid = Person(0, Pose(joints, pose.pixels, pose.confidence, pose.score))
    assert len(poses(HEADER, [invalid, Person(1, pose)]).poses) == 1


def test_axes_of_the_room():
    """The camera of these tests looks along x of the room."""
    from geometry_msgs.msg import Quaternion

    matrix = rotation_matrix(Quaternion(**dict(zip("xyzw", ROTATION, strict=True))))
    np.testing.assert_allclose(matrix @ (0, 0, 1), (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(matrix @ (0, 1, 0), (0, 0, -1), atol=1e-12)


def test_best_effort_and_reliable_subscribers_receive_results(ros, capfd):
    harness = NodeHarness(ros, capfd, start=False)
    clouds: list[PointCloud2] = []
    followed: list[PoseArray] = []
    # Nav2's layers subscribe with best effort, followers with the default, reliable.
    harness.peer.create_subscription(
        PointCloud2, "depth_pose_node/joints", clouds.append, qos_profile_sensor_data
    )
    harness.peer.create_subscription(
        PoseArray, "depth_pose_node/poses", followed.append, QoSProfile(depth=10)
    )
    harness.node.autostart()
    harness.connect()
    for publisher in harness.node.publishers:
        if publisher.topic_name.endswith("/joints"):
            ros.wait_for_subscribers(publisher, 2)
        elif publisher.topic_name.endswith("/poses"):
            ros.wait_for_subscribers(publisher)
    stamp = harness.send(depth_image(), camera_info())
    ros.spin_until(lambda: clouds and followed, "cloud and poses")
    assert stamps(clouds) == stamps(followed) == [stamp]
    assert clouds[0].header.frame_id == followed[0].header.frame_id == FRAME
    assert clouds[0].width == NUM_JOINTS and len(followed[0].poses) == 1
