"""A second look at a crop, in the mirror: an extension that makes the maps' errors smaller."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from depth_pose_ros.core.crops import FAR
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.indices import index_on
from depth_pose_ros.core.skeleton import EDGES, FLIP_INDEX

_AT = {(edge.parent, edge.child): e for e, edge in enumerate(EDGES)}
#: The edge on the body's other side.
_EDGES = tuple(_AT[FLIP_INDEX[edge.parent], FLIP_INDEX[edge.child]] for edge in EDGES)


def mirrored(crops: Tensor, stride: int) -> Tensor:
    """Crops with left and right exchanged.

    Args:
        crops: (B, 1, H, W).
        stride: pixels per cell of the maps.  Cells' centres fall on cells' centres: what lies to
            the right of the last one is left out.

    Returns:
        (B, 1, H, W).
    """
    width = (crops.shape[-1] - 1) // stride * stride + 1
    result = torch.full_like(crops, FAR)
    result[..., :width] = crops[..., :width].flip(-1)
    return result


def merged(plain: FcnOutput, mirror: FcnOutput) -> FcnOutput:
    """The mean of what the FCN says of crops and of their :func:`mirrored` twins.

    Of logits the mean is a product of the probabilities, rooted.  The context is the crops' own.
    """
    parts, edges = index_on(plain.heat.device, FLIP_INDEX), index_on(plain.heat.device, _EDGES)
    heats = [plain.heat, mirror.heat.flip(-1).index_select(1, parts)]
    if plain.logits:
        heats = [h.flatten(2).log_softmax(-1).view_as(h) for h in heats]
    depth = (plain.depth + mirror.depth.flip(-1).index_select(1, parts)) / 2
    moves = plain.displacement
    if moves is not None and mirror.displacement is not None:
        other = mirror.displacement.flip(-1).unflatten(1, (len(EDGES), 3)).index_select(1, edges)
        other[:, :, 0].neg_()
        moves = (moves + other.flatten(1, 2)) / 2
    return FcnOutput((heats[0] + heats[1]) / 2, depth, moves, plain.logits, plain.context)


def flip_average(fcn: Callable[[Tensor], FcnOutput], crops: Tensor, stride: int) -> FcnOutput:
    """What an FCN says of crops (B, 1, H, W) and of their twins, :func:`merged`.

    Args:
        fcn: one, or what runs it; its maps need only hold until the next call.
        crops, stride: as of :func:`mirrored`.
    """
    return merged(fcn(crops).clone(), fcn(mirrored(crops, stride)))


class FlipAveragedFcn(nn.Module):
    """An FCN that looks twice.

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
