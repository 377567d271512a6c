"""Association of poses with tracks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from depth_pose_ros.core.nms import nms
from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_ros.core.tracking.measurement import SPINE, is_valid, measurement
from depth_pose_ros.core.tracking.track import Track

Array = NDArray[np.float64]

#: Poses whose spines have a smaller mean distance, metres, are of one person.
SAME_SPINE = 0.2
#: Minimum number of valid joints of a pose.
_MIN_JOINTS = 10
_LIMBS = {"Elbow": 0.5, "Wrist": 0.2, "Hand": 0.2, "Knee": 0.5, "Foot": 0.2}
_MAX_JOINT_COST = 0.6  # metres, of a single joint
#: Gate on the distance between the spine and its prediction: metres, metres per second unseen, and
#: maximum.
_GATE, _GATE_GROWTH, _MAX_GATE = 0.4, 1.5, 1.2
_LOW_SCORE_GATE = 0.7  # metres, maximum for a pose with a low score
#: Weight of each joint in the cost: limbs move relative to the trunk.
_WEIGHT = np.array(
    [_LIMBS.get(name.removeprefix("Left").removeprefix("Right"), 1.0) for name in JOINTS]
)
#: Weight of a difference in bone lengths, and its maximum cost in metres.
_SIZE_WEIGHT, _MAX_SIZE_COST = 2.0, 0.1
_LAST_SEEN_AFTER = 0.3  # seconds unseen, after which the last position is tried, too
_UNSEEN_PENALTY = 0.1  # metres: prefers tracks seen in the last frame
_FORBIDDEN = 1e6


def usable(pose: Pose) -> bool:
    """Whether a pose has enough valid joints, including the spine."""
    known = is_valid(pose.joints)
    return bool(known[SPINE].all() and known.sum() >= _MIN_JOINTS)


def without_duplicates(poses: Sequence[Pose]) -> list[Pose]:
    """Non-maximum suppression of poses whose spines coincide."""

    def same(kept: int, other: int) -> bool:
        apart = np.linalg.norm((poses[kept].joints - poses[other].joints)[SPINE], axis=1)
        return bool(apart.mean() < SAME_SPINE)

    return [poses[i] for i in nms(sorted(range(len(poses)), key=lambda i: -poses[i].score), same)]


def costs(tracks: Sequence[Track], poses: Sequence[Pose], confirm_score: float) -> Array:
    """(tracks, poses) metres: association costs; infinite outside the gate.

    The confidence-weighted mean distance of joints from their predictions, plus the difference in
    bone lengths.
    """
    result = np.full((len(tracks), len(poses)), np.inf)
    for i, track in enumerate(tracks):
        wide = min(_GATE + _GATE_GROWTH * track.unseen, _MAX_GATE)
        narrow = min(wide, _LOW_SCORE_GATE)
        # A person hidden for a while may have moved on or stayed.
        positions = (
            [track.joints, track.last_seen] if track.unseen > _LAST_SEEN_AFTER else [track.joints]
        )
        for j, pose in enumerate(poses):
            spine = pose.joints[SPINE].mean(0)
            gate = wide if pose.score >= confirm_score else narrow
            near = [p for p in positions if np.linalg.norm(spine - p[SPINE].mean(0)) <= gate]
            if not near:
                continue
            result[i, j] = min(joint_cost(position, pose) for position in near)
            result[i, j] += min(_SIZE_WEIGHT * track.size_difference(pose), _MAX_SIZE_COST)
            result[i, j] += _UNSEEN_PENALTY * track.lost
    return result


def joint_cost(expected: Array, pose: Pose) -> float:
    """Mean distance of a pose's joints, metres, bounded and weighted by confidence."""
    joints, confidence = measurement(pose, expected)
    distance = np.minimum(np.linalg.norm(joints - expected, axis=1), _MAX_JOINT_COST)
    weight = np.where(is_valid(pose.joints), _WEIGHT * (confidence + 1e-3), 0.0)
    return float((weight * distance).sum() / weight.sum())


def assign(cost: Array) -> list[tuple[int, int]]:
    """Pairs (row, column) of finite cost: as many as possible, with minimum total cost."""
    if not cost.size:
        return []
    # Kuhn's assignment problem (1955).
    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, _FORBIDDEN))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, j) for i, j in pairs if np.isfinite(cost[i, j])]
