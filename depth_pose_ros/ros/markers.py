"""People -> RViz markers: pure functions of data, no node and no state.

Namespaces and ids are stable, so a marker replaces its predecessor:

========== ================== ====================== ===========================================
namespace  type               id                     what
========== ================== ====================== ===========================================
``joints`` SPHERE             person * 100 + joint   as in Azure Kinect's driver
``bones``  LINE_LIST          person                 the kinematic tree's edges
``labels`` TEXT_VIEW_FACING   person                 body id and score, above the head
========== ================== ====================== ===========================================

Color says who, opacity says how sure.
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
from depth_pose_ros.ros.messages import body_id, shown

JOINTS_NS, BONES_NS, LABELS_NS = "joints", "bones", "labels"
IDS_PER_PERSON = 100  #: as in Azure Kinect's driver

#: Okabe and Ito's colors, told apart also by the color-blind.  The person's number chooses.
PALETTE: tuple[tuple[float, float, float], ...] = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)
_FAINTEST = 0.15  # opacity at confidence 0: RViz warns of invisible markers
_BONE_WIDTH, _LABEL_HEIGHT, _LABEL_LIFT = 0.4, 0.12, 0.25  # of a joint's diameter; metres; metres

MarkerKey = tuple[str, int]  #: namespace and id: what RViz knows a marker by


@dataclass(frozen=True)
class MarkerStyle:
    """How people are drawn: sizes in metres, lifetime in seconds (0 is for ever)."""

    joint_diameter: float
    lifetime: float
    id_prefix: str
    min_confidence: float


def markers(
    header: Header, people: Iterable[Person], style: MarkerStyle, previous: Set[MarkerKey]
) -> MarkerArray:
    """Spheres, bones and labels of all people, and the deletion of what is no more.

    Args:
        header: of the depth image.
        people: in this frame.
        style: see :class:`MarkerStyle`.
        previous: :func:`keys` of the message before, for explicit deletions: a lifetime alone would
            leave a ghost behind, and there may be none.
    """
    result = MarkerArray()
    for person in people:
        joints = shown(person, style.min_confidence)
        colors = _colors(person)
        points = [Point(x=x, y=y, z=z) for x, y, z in person.pose.joints.tolist()]
        result.markers += [
            _sphere(header, person, joint, points[joint], colors[joint], style) for joint in joints
        ]
        bones = [joint for edge in EDGES if set(edge) <= set(joints) for joint in edge]
        if bones:  # RViz reports a line list without points as an error
            result.markers.append(_bones(header, person, bones, points, colors, style))
        result.markers.append(_label(header, person, style))
    stale = sorted(previous - keys(result))
    result.markers += [
        Marker(header=header, ns=ns, id=number, action=Marker.DELETE) for ns, number in stale
    ]
    return result


def keys(message: MarkerArray) -> frozenset[MarkerKey]:
    """Namespace and id of every marker that is drawn after this message."""
    return frozenset((m.ns, m.id) for m in message.markers if m.action == Marker.ADD)


def drawn(people: Iterable[Person], style: MarkerStyle) -> frozenset[MarkerKey]:
    """:func:`keys` of the message that draws these people."""
    result: set[MarkerKey] = set()
    for person in people:
        joints = set(shown(person, style.min_confidence))
        result |= {(JOINTS_NS, person.number * IDS_PER_PERSON + joint) for joint in joints}
        result.add((LABELS_NS, person.number))
        if any(joints.issuperset(edge) for edge in EDGES):
            result.add((BONES_NS, person.number))
    return frozenset(result)


def opacities(person: Person) -> NDArray[np.float64]:
    """(19,) of the joints: how sure each is."""
    return _FAINTEST + (1 - _FAINTEST) * person.pose.confidence.astype(np.float64)


def label(person: Person, style: MarkerStyle) -> str:
    """Body id and score."""
    return f"{body_id(person, style.id_prefix)} {person.pose.score:.0%}"


def above_head(joints: NDArray[np.float32]) -> NDArray[np.float64]:
    """(3,): where the label is."""
    _, axes = body_frame(joints)
    return joints[INDEX["Head"]] + _LABEL_LIFT * axes[:, 2]


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
    x, y, z = above_head(person.pose.joints).tolist()
    marker.pose.position = Point(x=x, y=y, z=z)
    marker.scale.z = _LABEL_HEIGHT
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    marker.text = label(person, style)
    return marker
