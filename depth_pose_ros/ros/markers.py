"""People -> RViz markers: pure functions.

Namespaces and ids are stable, so a marker replaces that of the frame before:

========== ================== ====================== ===========================================
namespace  type               id                     content
========== ================== ====================== ===========================================
``joints`` SPHERE             person * 100 + joint   as in Azure Kinect's driver
``bones``  LINE_LIST          person                 the kinematic tree's edges
``labels`` TEXT_VIEW_FACING   person                 body id and score, above the head
========== ================== ====================== ===========================================

The color depends on the person, the opacity on the confidence.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from depth_pose_ros.core.body_frame import body_frame
from depth_pose_ros.core.skeleton import EDGES, INDEX
from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros.messages import body_id, published_joints

JOINTS_NS, BONES_NS, LABELS_NS = "joints", "bones", "labels"
IDS_PER_PERSON = 100  #: as in Azure Kinect's driver

#: Okabe and Ito's colors, distinguishable by the color-blind.  Selected by the person's number.
PALETTE: tuple[tuple[float, float, float], ...] = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)
_MIN_OPACITY = 0.15  # at confidence 0: RViz warns about invisible markers
_BONE_WIDTH = 0.4  # of the joint diameter
_LABEL_SIZE, _LABEL_OFFSET = 0.12, 0.25  # metres; above the head

MarkerKey = tuple[str, int]  #: namespace and id, which identify a marker in RViz


@dataclass(frozen=True)
class MarkerStyle:
    """How people are drawn: sizes in metres, lifetime in seconds (0 means unlimited)."""

    joint_diameter: float
    lifetime: float
    id_prefix: str
    min_confidence: float


def markers(
    header: Header, people: Iterable[Person], style: MarkerStyle, previous: Set[MarkerKey]
) -> MarkerArray:
    """Spheres, bones and labels of all people, and the deletion of markers no longer used.

    Args:
        header: of the depth image.
        people: in that frame.
        style: see :class:`MarkerStyle`.
        previous: :func:`keys` of the frame before.  Markers not used any more are deleted
            explicitly, because the lifetime may be unlimited.
    """
    result = MarkerArray()
    people = list(people)
    for person in people:
        joints = published_joints(person, style.min_confidence)
        colors = _colors(person)
        points = [Point(x=x, y=y, z=z) for x, y, z in person.pose.joints.tolist()]
        result.markers += [
            _sphere(header, person, joint, points[joint], colors[joint], style) for joint in joints
        ]
        bones = [joint for edge in EDGES if set(edge) <= set(joints) for joint in edge]
        if bones:  # RViz reports a line list without points as an error
            result.markers.append(_bones(header, person, bones, points, colors, style))
        result.markers.append(_label(header, person, style))
    result.markers += [
        Marker(header=header, ns=ns, id=number, action=Marker.DELETE)
        for ns, number in sorted(previous - keys(people, style))
    ]
    return result


def keys(people: Iterable[Person], style: MarkerStyle) -> frozenset[MarkerKey]:
    """Namespace and id of every marker of these people."""
    result: set[MarkerKey] = set()
    for person in people:
        joints = set(published_joints(person, style.min_confidence))
        result |= {(JOINTS_NS, person.number * IDS_PER_PERSON + joint) for joint in joints}
        result.add((LABELS_NS, person.number))
        if any(joints.issuperset(edge) for edge in EDGES):
            result.add((BONES_NS, person.number))
    return frozenset(result)


def opacities(person: Person) -> NDArray[np.float64]:
    """(19,) the opacity of each joint, from its confidence."""
    return _MIN_OPACITY + (1 - _MIN_OPACITY) * person.pose.confidence.astype(np.float64)


def label(person: Person, style: MarkerStyle) -> str:
    """Body id and score."""
    return f"{body_id(person, style.id_prefix)} {person.pose.score:.0%}"


def label_position(joints: NDArray[np.float32]) -> NDArray[np.float64]:
    """(3,) above the head."""
    _, axes = body_frame(joints)
    return joints[INDEX["Head"]] + _LABEL_OFFSET * axes[:, 2]


def _colors(person: Person) -> list[ColorRGBA]:
    red, green, blue = PALETTE[person.number % len(PALETTE)]
    return [ColorRGBA(r=red, g=green, b=blue, a=a) for a in opacities(person).tolist()]


def _marker(header: Header, ns: str, number: int, kind: int, style: MarkerStyle) -> Marker:
    marker = Marker(header=header, ns=ns, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    seconds, nanoseconds = divmod(round(style.lifetime * 1e9), 10**9)
    marker.lifetime = Duration(sec=seconds, nanosec=nanoseconds)
    return marker


def _sphere(
    header: Header,
    person: Person,
    joint: int,
    point: Point,
    color: ColorRGBA,
    style: MarkerStyle,
) -> Marker:
    number = person.number * IDS_PER_PERSON + joint
    marker = _marker(header, JOINTS_NS, number, Marker.SPHERE, style)
    marker.pose.position = point
    size = style.joint_diameter
    marker.scale = Vector3(x=size, y=size, z=size)
    marker.color = color
    return marker


def _bones(
    header: Header,
    person: Person,
    bones: list[int],
    points: list[Point],
    colors: list[ColorRGBA],
    style: MarkerStyle,
) -> Marker:
    marker = _marker(header, BONES_NS, person.number, Marker.LINE_LIST, style)
    marker.scale.x = style.joint_diameter * _BONE_WIDTH
    marker.points = [points[joint] for joint in bones]
    marker.colors = [colors[joint] for joint in bones]
    marker.color.a = 1.0
    return marker


def _label(header: Header, person: Person, style: MarkerStyle) -> Marker:
    marker = _marker(header, LABELS_NS, person.number, Marker.TEXT_VIEW_FACING, style)
    x, y, z = label_position(person.pose.joints).tolist()
    marker.pose.position = Point(x=x, y=y, z=z)
    marker.scale.z = _LABEL_SIZE
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    marker.text = label(person, style)
    return marker
