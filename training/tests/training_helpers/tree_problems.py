"""A small tree-inference problem with a known solution."""

import torch

from depth_pose_ros.core.skeleton import EDGES, INDEX, NUM_JOINTS
from depth_pose_training.learning.boxes import consistent
from depth_pose_training.structured.tree_data import TreeData
from depth_pose_training.structured.tree_problem import TreeWeights


def ambiguous(count: int, seed: int) -> TreeData:
    """Training data in which the unary terms cannot tell two right-hand proposals apart.

    Four proposals per joint, spaced along x.  The feature is the unary score.  Proposals 1 and 2 of
    the right hand have the same score; the correct one is at the wrist.
    """
    rng = torch.Generator().manual_seed(seed)
    n, hand, wrist = 4, INDEX["RightHand"], INDEX["RightWrist"]
    x = torch.arange(n) * 0.1  # metres
    points = torch.zeros(count, NUM_JOINTS, n, 3)
    points[..., 0] = x
    points[..., 2] = 2.0
    pixels = torch.zeros(count, NUM_JOINTS, n, 2)
    pixels[..., 0] = torch.arange(n) * 20.0
    features = 0.1 * torch.rand(count, NUM_JOINTS, n, 1, generator=rng)
    right = torch.randint(1, 3, (count, NUM_JOINTS), generator=rng)
    features.scatter_(2, right[..., None, None], 1.0)
    features[:, hand, 1:3] = 1.0
    # The correct hand proposal is the one at the wrist.
    right[:, hand] = right[:, wrist]
    truth = pixels.gather(2, right[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    joints = points.gather(2, right[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
    weight = torch.ones(count, NUM_JOINTS)
    allowed, supervised = consistent(pixels, truth, weight)
    anchors = points[:, [e.parent for e in EDGES]]
    return TreeData(features, pixels, points, anchors, truth, joints, allowed, supervised, weight)


def start_of(data: TreeData) -> TreeWeights:
    """Unary weights of one and pairwise weights of zero."""
    return TreeWeights(torch.ones(NUM_JOINTS, data.features.shape[-1]), torch.zeros(len(EDGES), 6))
