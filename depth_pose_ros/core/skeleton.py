"""The skeleton: 19 joints, the kinematic tree, left-right pairs and names.

The joint order is the order of heat maps,
tensors and messages everywhere in the project (Wang et al., 2016, Sect. 5.1).  "Left" and "right"
are the person's own.
"""

from typing import NamedTuple

JOINTS: tuple[str, ...] = (
    "Head",
    "Neck",
    "UpperSpine",
    "MiddleSpine",
    "DownSpine",
    "RightShoulder",
    "RightElbow",
    "RightWrist",
    "RightHand",
    "LeftShoulder",
    "LeftElbow",
    "LeftWrist",
    "LeftHand",
    "RightHip",
    "RightKnee",
    "RightFoot",
    "LeftHip",
    "LeftKnee",
    "LeftFoot",
)
NUM_JOINTS = len(JOINTS)
INDEX: dict[str, int] = {name: i for i, name in enumerate(JOINTS)}
ROOT = INDEX["Head"]


def indices(*names: str) -> tuple[int, ...]:
    """Indices of joints by name."""
    return tuple(INDEX[name] for name in names)


#: The spine below the head: visible from every side, and without left and right.
SPINE = indices("Neck", "UpperSpine", "MiddleSpine", "DownSpine")
HIPS = indices("LeftHip", "RightHip")
SPINE_AND_HIPS = indices("UpperSpine", "MiddleSpine", "DownSpine", "LeftHip", "RightHip")
TRUNK = (*SPINE_AND_HIPS, *indices("LeftShoulder", "RightShoulder"))
#: Head and trunk: the joints that most views show.
TORSO = indices("Head", *(JOINTS[k] for k in SPINE), "RightShoulder", "LeftShoulder", "RightHip",
                "LeftHip")  # fmt: skip


class Edge(NamedTuple):
    """One bone of the kinematic tree, by joint index."""

    parent: int
    child: int


_TREE = {
    "Neck": "Head",
    "UpperSpine": "Neck",
    "MiddleSpine": "UpperSpine",
    "DownSpine": "MiddleSpine",
    "RightShoulder": "UpperSpine",
    "RightElbow": "RightShoulder",
    "RightWrist": "RightElbow",
    "RightHand": "RightWrist",
    "LeftShoulder": "UpperSpine",
    "LeftElbow": "LeftShoulder",
    "LeftWrist": "LeftElbow",
    "LeftHand": "LeftWrist",
    "RightHip": "DownSpine",
    "RightKnee": "RightHip",
    "RightFoot": "RightKnee",
    "LeftHip": "DownSpine",
    "LeftKnee": "LeftHip",
    "LeftFoot": "LeftKnee",
}

#: Parent of every joint by index, -1 at the root (Head).
PARENTS: tuple[int, ...] = tuple(INDEX[_TREE[name]] if name in _TREE else -1 for name in JOINTS)

#: The 18 edges (parent, child).  Joints are numbered parents first, so reading this backwards goes
#: from the leaves to the root, the order in which dynamic programming runs.
EDGES: tuple[Edge, ...] = tuple(Edge(p, c) for c, p in enumerate(PARENTS) if p >= 0)

#: The edges' ends by edge, for indexing: EDGES[e] is (EDGE_PARENTS[e], EDGE_CHILDREN[e]).
EDGE_PARENTS: tuple[int, ...] = tuple(edge.parent for edge in EDGES)
EDGE_CHILDREN: tuple[int, ...] = tuple(edge.child for edge in EDGES)


def _other_side(name: str) -> str:
    if name.startswith("Left"):
        return "Right" + name[4:]
    if name.startswith("Right"):
        return "Left" + name[5:]
    return name


#: FLIP_INDEX[k] is the joint that takes k's place when an image is flipped horizontally.
FLIP_INDEX: tuple[int, ...] = tuple(INDEX[_other_side(name)] for name in JOINTS)
