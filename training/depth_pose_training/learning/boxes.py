"""Proposals against the truth: boxes of a fixed size and their overlap (Sect. 3.1 and 4)."""

import torch
from torch import Tensor

#: Side of a proposal's box, pixels (w and h of [x, y, w, h, k]).
BOX = 10.0
#: Least overlap with the true box that counts as a match.
MATCH_IOU = 0.5


def box_iou(centres: Tensor, others: Tensor, side: float = BOX) -> Tensor:
    """Intersection over union of equal squares: (..., 2) and (..., 2) centres -> (...)."""
    overlap = (side - (centres - others).abs()).clamp(min=0).prod(-1)
    return overlap / (2 * side * side - overlap)


def match_labels(pixels: Tensor, truth: Tensor) -> Tensor:
    """Labels of Eqn. 7: (B, K, n, 2) proposals and (B, K, 2) joints -> (B, K, n) bool."""
    return box_iou(pixels.to(truth.dtype), truth[:, :, None]) > MATCH_IOU


def consistent(pixels: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Which proposals a true configuration may be made of (the latent variable of Eqn. 9).

    A part's are those that match the true box; where none does but some touch it, the nearest one.
    A part that cannot be asked for, or whose proposals all miss the true box, is free.

    Args:
        pixels: (B, K, n, 2) proposals.
        truth: (B, K, 2) true pixels.
        weight: (B, K), 0 where a joint cannot be asked for.

    Returns:
        (B, K, n) bool, at least one per part; (B, K) bool, the parts that are asked for.
    """
    iou = box_iou(pixels.to(truth.dtype), truth[:, :, None])
    nearest = torch.nn.functional.one_hot(
        (pixels - truth[:, :, None]).square().sum(-1).argmin(-1), pixels.shape[2]
    ).bool()
    match = iou > MATCH_IOU
    allowed = torch.where(match.any(-1, keepdim=True), match, nearest)
    asked = (weight > 0) & (iou > 0).any(-1)
    return allowed | ~asked[..., None], asked
