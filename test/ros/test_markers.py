"""People -> RViz markers: which are added and which deleted."""

import numpy as np
import pytest

from helpers.poses import standing

pytest.importorskip("visualization_msgs", reason="needs ROS messages: `make setup` installs them")

from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import EDGES, INDEX, JOINTS, NUM_JOINTS
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros.markers import PALETTE, MarkerStyle, markers

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="camera_depth_optical_frame")
STYLE = MarkerStyle(joint_diameter=0.05, lifetime=0.25, id_prefix="p", min_confidence=0.0)
NO_KEYS: frozenset = frozenset()


def keys(message):
    return frozenset((m.ns, m.id) for m in message.markers if m.action == Marker.ADD)


def markers_by_key(people, style=STYLE, previous=NO_KEYS):
    """{(namespace, id): marker}"""
    return {(m.ns, m.id): m for m in markers(HEADER, people, style, previous).markers}


def test_each_person_has_spheres_bones_and_a_label():
    message = markers(HEADER, [Person(0, standing()), Person(2, standing(x=1.0))], STYLE, NO_KEYS)
    expected = {("joints", n * 100 + j) for n in (0, 2) for j in range(NUM_JOINTS)}
    expected |= {(ns, n) for ns in ("bones", "labels") for n in (0, 2)}
    assert keys(message) == expected
    assert len(message.markers) == len(expected)
    for marker in message.markers:
        assert marker.header == HEADER
        assert marker.action == Marker.ADD
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (0, 250_000_000)
        assert marker.pose.orientation.w == 1.0


def test_spheres_lie_on_the_joints():
    pose = standing(x=0.3, z=2.0)
    markers_of = markers_by_key([Person(1, pose)])
    for joint in range(NUM_JOINTS):
        sphere = markers_of["joints", 100 + joint]
        assert sphere.type == Marker.SPHERE
        assert (sphere.scale.x, sphere.scale.y, sphere.scale.z) == (0.05, 0.05, 0.05)
        centre = sphere.pose.position
        np.testing.assert_allclose((centre.x, centre.y, centre.z), pose.joints[joint])


def test_bones_connect_the_joints_of_every_edge():
    pose = standing()
    bones = markers_by_key([Person(0, pose)])["bones", 0]
    assert bones.type == Marker.LINE_LIST and bones.scale.x > 0
    points = np.array([(p.x, p.y, p.z) for p in bones.points]).reshape(-1, 2, 3)
    np.testing.assert_allclose(points, pose.joints[np.array(EDGES)])
    assert len(bones.colors) == len(bones.points)


def test_label_above_the_head_has_id_and_score():
    label = markers_by_key([Person(4, standing(confidence=0.875))])["labels", 4]
    assert label.type == Marker.TEXT_VIEW_FACING
    assert label.text == "p4 88%"
    assert label.scale.z > 0
    head = standing().joints[INDEX["Head"]]
    assert label.pose.position.y < head[1] - 0.1


def test_color_depends_on_the_person_and_opacity_on_confidence():
    one, two = standing(confidence=0.2), standing(confidence=1.0)
    markers_of = markers_by_key([Person(1, one), Person(2, two)])
    same = markers_by_key([Person(2, two)])
    for number, opacity in ((1, 0.32), (2, 1.0)):
        color = markers_of["joints", number * 100].color
        np.testing.assert_allclose((color.r, color.g, color.b), PALETTE[number], atol=1e-6)
        assert color.a == pytest.approx(opacity)
        assert markers_of["bones", number].colors[0].a == pytest.approx(opacity)
    assert same["joints", 200].color == markers_of["joints", 200].color, (
        "independent of the order of the list"
    )
    assert markers_by_key([Person(0, standing(confidence=0.0))])["joints", 0].color.a > 0.1


def test_markers_of_lost_people_are_deleted_once():
    first = markers(HEADER, [Person(0, standing()), Person(1, standing())], STYLE, NO_KEYS)
    second = markers(HEADER, [Person(1, standing())], STYLE, keys(first))
    deleted = {(m.ns, m.id) for m in second.markers if m.action == Marker.DELETE}
    assert deleted == {
        key for key in keys(first) if key[1] == 0 or (key[1] < 100 and key[0] == "joints")
    }
    assert all(m.header == HEADER for m in second.markers)
    assert keys(second) == keys(first) - deleted
    third = markers(HEADER, [], STYLE, keys(second))
    assert {m.action for m in third.markers} == {Marker.DELETE}
    assert markers(HEADER, [], STYLE, keys(third)).markers == []


def test_markers_of_low_confidence_joints_are_deleted():
    sure = standing()
    unsure = Pose(sure.joints, sure.pixels, sure.confidence.copy(), sure.score)
    unsure.confidence[INDEX["LeftHand"]] = 0.1
    style = MarkerStyle(joint_diameter=0.05, lifetime=0.0, id_prefix="p", min_confidence=0.5)
    before = markers(HEADER, [Person(0, sure)], style, NO_KEYS)
    after = markers(HEADER, [Person(0, unsure)], style, keys(before))
    by_key = {(m.ns, m.id): m for m in after.markers}
    assert by_key["joints", INDEX["LeftHand"]].action == Marker.DELETE
    assert len(by_key["bones", 0].points) == 2 * (len(EDGES) - 1)
    assert by_key["labels", 0].lifetime.sec == by_key["labels", 0].lifetime.nanosec == 0


def test_no_bones_marker_without_bones():
    markers_of = markers_by_key(
        [Person(0, standing(confidence=0.1))], MarkerStyle(0.05, 0.25, "p", 0.5)
    )
    assert set(markers_of) == {("labels", 0)}


def test_marker_ids_of_different_people_differ():
    ids = set(markers_by_key([Person(n, standing()) for n in range(40)]))
    assert len(ids) == 40 * (len(JOINTS) + 2)
