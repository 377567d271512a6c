"""Which pose is whose."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_ros.core.tracking.body_motion import SPINE
from depth_pose_ros.core.tracking.measurement import measurement, somewhere
from depth_pose_ros.core.tracking.track import Track

Array = NDArray[np.float64]

#: Spines with less than this mean distance, metres, are one person's: bodies are thicker.
SAME_SPINE = 0.2
#: Least of a pose's joints that have to be somewhere.
_LEAST_JOINTS = 10
_LIMBS = {"Elbow": 0.5, "Wrist": 0.2, "Hand": 0.2, "Knee": 0.5, "Foot": 0.2}
_FARTHEST = 0.6  # metres that a single joint counts at the most
#: Metres that a spine may be from where it is expected, and for each second unseen; at the most.
_GATE, _GATE_GROWTH, _WIDEST_GATE = 0.4, 1.5, 1.2
_UNSURE_GATE = 0.7  # at the most, for a pose that may be nobody
#: Limbs swing, the trunk goes where the person goes.
_WEIGHT = np.array(
    [_LIMBS.get(name.removeprefix("Left").removeprefix("Right"), 1.0) for name in JOINTS]
)
#: A difference in bone lengths counts so much more than one in position; metres at the most.
_SIZE, _MOST_SIZE = 2.0, 0.1
_TURNING = 0.3  # seconds
_UNSEEN_PENALTY = 0.1  # metres: of two who fit, the one who was just there
_NEVER = 1e6


def usable(pose: Pose) -> bool:
    """Whether a pose has enough joints somewhere, the spine's among them."""
    known = somewhere(pose.joints)
    return bool(known[SPINE].all() and known.sum() >= _LEAST_JOINTS)


def without_duplicates(poses: Sequence[Pose]) -> list[Pose]:
    """One pose per person: of those whose spines coincide, the one with the highest score."""
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda pose: -pose.score):
        spine = pose.joints[SPINE]
        if all(
            np.linalg.norm(spine - other.joints[SPINE], axis=1).mean() >= SAME_SPINE
            for other in kept
        ):
            kept.append(pose)
    return kept


def costs(tracks: Sequence[Track], poses: Sequence[Pose], confirm_score: float) -> Array:
    """(tracks, poses) metres: how badly they fit; infinite where they cannot.

    The mean distance of joints from where the track expects them, weighted by confidence, plus what
    bone lengths differ.
    """
    result = np.full((len(tracks), len(poses)), np.inf)
    for i, track in enumerate(tracks):
        wide = min(_GATE + _GATE_GROWTH * track.unseen, _WIDEST_GATE)
        narrow = min(wide, _UNSURE_GATE)
        # Who is hidden for a while may have gone on, or stopped and turned back.
        places = [track.joints, track.last_seen] if track.unseen > _TURNING else [track.joints]
        for j, pose in enumerate(poses):
            spine = pose.joints[SPINE].mean(0)
            gate = wide if pose.score >= confirm_score else narrow
            near = [p for p in places if np.linalg.norm(spine - p[SPINE].mean(0)) <= gate]
            if not near:
                continue
            result[i, j] = min(misfit(place, pose) for place in near)
            result[i, j] += min(_SIZE * track.size_difference(pose), _MOST_SIZE)
            result[i, j] += _UNSEEN_PENALTY * track.lost
    return result


def misfit(expected: Array, pose: Pose) -> float:
    """Mean distance of a pose's joints, metres, bounded and weighted by confidence."""
    joints, confidence = measurement(pose, expected)
    distance = np.minimum(np.linalg.norm(joints - expected, axis=1), _FARTHEST)
    weight = np.where(somewhere(pose.joints), _WEIGHT * (confidence + 1e-3), 0.0)
    return float((weight * distance).sum() / weight.sum())


def assign(cost: Array) -> list[tuple[int, int]]:
    """Pairs (row, column) of finite cost: as many as possible, of least total cost."""
    if not cost.size:
        return []
    # Kuhn's assignment problem (1955).
    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, _NEVER))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, j) for i, j in pairs if np.isfinite(cost[i, j])]
