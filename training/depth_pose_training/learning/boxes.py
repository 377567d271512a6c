"""Boxes of a fixed size around proposals and true joints, and their overlap (Sect. 3.1 and 4)."""

import torch
from torch import Tensor

#: Side of a proposal's box, pixels (w and h of [x, y, w, h, k]).
BOX = 10.0
#: Minimum IoU with the true box of a match.
MATCH_IOU = 0.5


def box_iou(centres: Tensor, others: Tensor, side: float = BOX) -> Tensor:
    """Intersection over union of equal squares: (..., 2) and (..., 2) centres -> (...)."""
    overlap = (side - (centres - others).abs()).clamp(min=0).prod(-1)
    return overlap / (2 * side * side - overlap)


def match_labels(pixels: Tensor, truth: Tensor) -> Tensor:
    """Labels of Eqn. 7: (B, K, n, 2) proposals and (B, K, 2) joints -> (B, K, n) bool."""
    return box_iou(pixels.to(truth.dtype), truth[:, :, None]) > MATCH_IOU


def consistent(pixels: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Proposals that agree with the true joints (the latent variable of Eqn. 9).

    These are the proposals that match the true box, or the nearest one if some overlap it without a
    match.  All proposals of a part agree if its joint is unknown or no proposal overlaps its box.

    Args:
        pixels: (B, K, n, 2) proposals.
        truth: (B, K, 2) true pixels.
        weight: (B, K), 0 for unknown joints.

    Returns:
        (B, K, n) bool, at least one per part; (B, K) bool, the supervised parts.
    """
    iou = box_iou(pixels.to(truth.dtype), truth[:, :, None])
    nearest = torch.nn.functional.one_hot(
        (pixels - truth[:, :, None]).square().sum(-1).argmin(-1), pixels.shape[2]
    ).bool()
    match = iou > MATCH_IOU
    allowed = torch.where(match.any(-1, keepdim=True), match, nearest)
    supervised = (weight > 0) & (iou > 0).any(-1)
    return allowed | ~supervised[..., None], supervised
