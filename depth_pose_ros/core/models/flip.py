"""Flip test-time augmentation of the FCN (extension)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from depth_pose_ros.core.crops import FAR
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.indices import index_on
from depth_pose_ros.core.skeleton import EDGES, FLIP_INDEX

_AT = {(edge.parent, edge.child): e for e, edge in enumerate(EDGES)}
#: The edge on the other side of the body.
_EDGES = tuple(_AT[FLIP_INDEX[edge.parent], FLIP_INDEX[edge.child]] for edge in EDGES)


def flip_crops(crops: Tensor, stride: int) -> Tensor:
    """Flip crops horizontally.

    Args:
        crops: (B, 1, H, W).
        stride: pixels per cell of the maps.  Cell centres map to cell centres, so the pixels to the
            right of the last one become missing.

    Returns:
        (B, 1, H, W).
    """
    width = (crops.shape[-1] - 1) // stride * stride + 1
    result = torch.full_like(crops, FAR)
    result[..., :width] = crops[..., :width].flip(-1)
    return result


def average_flipped(plain: FcnOutput, flipped: FcnOutput) -> FcnOutput:
    """Average of the FCN's outputs for crops and for :func:`flip_crops` of them.

    Logits are averaged as log-probabilities.  The context is that of the unflipped crops.
    """
    parts, edges = index_on(plain.heat.device, FLIP_INDEX), index_on(plain.heat.device, _EDGES)
    heats = [plain.heat, flipped.heat.flip(-1).index_select(1, parts)]
    if plain.logits:
        heats = [h.flatten(2).log_softmax(-1).view_as(h) for h in heats]
    depth = (plain.depth + flipped.depth.flip(-1).index_select(1, parts)) / 2
    moves = plain.displacement
    if moves is not None and flipped.displacement is not None:
        other = flipped.displacement.flip(-1).unflatten(1, (len(EDGES), 3)).index_select(1, edges)
        other[:, :, 0].neg_()
        moves = (moves + other.flatten(1, 2)) / 2
    return FcnOutput((heats[0] + heats[1]) / 2, depth, moves, plain.logits, plain.context)


def flip_average(fcn: Callable[[Tensor], FcnOutput], crops: Tensor, stride: int) -> FcnOutput:
    """Output of an FCN with flip test-time augmentation, :func:`average_flipped`.

    Args:
        fcn: the network or a compiled one; its output may be overwritten by the next call.
        crops, stride: as of :func:`flip_crops`.
    """
    return average_flipped(fcn(crops).clone(), fcn(flip_crops(crops, stride)))


class FlipAveragedFcn(nn.Module):
    """An FCN with flip test-time augmentation.

    Args:
        fcn: one of :mod:`depth_pose_ros.core.models.fcn`.
    """

    def __init__(self, fcn: nn.Module) -> None:
        super().__init__()
        self.fcn = fcn
        self.stride, self.logits = int(fcn.stride), bool(fcn.logits)  # type: ignore[arg-type]

    def forward(self, crops: Tensor) -> FcnOutput:
        """(B, 1, H, W) -> maps."""
        return flip_average(self.fcn, crops, self.stride)
