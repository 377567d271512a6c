"""Non-maximum suppression: one entry per person."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS

#: Poses with a smaller median joint distance, metres, are of one person.
SAME_POSE = 0.30
#: A pose whose joints have a smaller median distance to another pose's bones, metres, lies on the
#: same body: two bodies do not intersect.
SAME_BODY = 0.12


def nms(order: Sequence[int], suppresses: Callable[[int, int], bool]) -> list[int]:
    """Greedy non-maximum suppression.

    Args:
        order: indices, best first.
        suppresses: whether a kept entry (first argument) suppresses another one.

    Returns:
        The kept indices, best first.
    """
    kept: list[int] = []
    for i in order:
        if not any(suppresses(k, i) for k in kept):
            kept.append(i)
    return kept


def pose_nms(joints: NDArray[np.floating], scores: NDArray[np.floating]) -> list[int]:
    """Suppress poses that lie on the body of a pose with a higher score.

    Args:
        joints: (N, 19, 3) metres.
        scores: (N,).

    Returns:
        The kept rows, highest score first.
    """

    def same(kept: int, other: int) -> bool:
        apart = np.linalg.norm(joints[kept] - joints[other], axis=-1)
        on_bones = distance_to_bones(joints[other], joints[kept])
        return bool(np.median(apart) <= SAME_POSE or np.median(on_bones) <= SAME_BODY)

    return nms(np.argsort(-scores, kind="stable").tolist(), same)


def distance_to_bones(
    points: NDArray[np.floating], joints: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Distance of every point to the nearest bone of a skeleton.

    Args:
        points: (N, 3) metres.
        joints: (19, 3) metres.

    Returns:
        (N,) metres.
    """
    start = joints[None, EDGE_PARENTS]
    bone = joints[None, EDGE_CHILDREN] - start
    along = points[:, None] - start  # (N, 18, 3)
    length = np.maximum((bone * bone).sum(-1), 1e-9)
    share = np.clip((along * bone).sum(-1) / length, 0, 1)
    return np.asarray(np.linalg.norm(along - share[..., None] * bone, axis=-1).min(1))
