"""MatchNet's work in two halves of the body: each needs the tower only where it is."""

from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS

_UPPER = tuple(
    INDEX[name]
    for name in (
        "Head",
        "Neck",
        "UpperSpine",
        "MiddleSpine",
        "RightShoulder",
        "RightElbow",
        "LeftShoulder",
        "LeftElbow",
        "RightWrist",
        "LeftWrist",
    )
)
_LOWER = tuple(i for i in range(NUM_JOINTS) if i not in _UPPER)
#: Indices of joints.
HALVES = (_UPPER, _LOWER)
