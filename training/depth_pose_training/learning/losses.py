"""What the fully convolutional network learns by."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from depth_pose_ros.core.models.fcn import FcnOutput, heat_probability, log_heat
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS, EDGES
from depth_pose_training.data.batches import Batch
from depth_pose_training.data.shards import MIN_JOINT_DEPTH
from depth_pose_training.engine.distributed import average


@dataclass(frozen=True)
class FcnLoss:
    """The parts of the loss, each a scalar; ``total`` is what is minimized."""

    total: Tensor
    heat: Tensor
    position: Tensor
    depth: Tensor
    displacement: Tensor


def gaussian_targets(pixels: Tensor, shape: torch.Size, stride: int, sigma: float) -> Tensor:
    """Gaussians of height 1 at each joint (Eqn. 6).

    Args:
        pixels: (B, 19, 2) crop pixels.
        shape: (..., h, w) of the maps.
        stride: crop pixels per cell.
        sigma: crop pixels.

    Returns:
        (B, 19, h, w).
    """
    h, w = shape[-2:]
    x = torch.arange(w, device=pixels.device) * stride - pixels[..., 0:1]
    y = torch.arange(h, device=pixels.device) * stride - pixels[..., 1:2]
    gx, gy = (torch.exp(-(d * d) / (2 * sigma * sigma)) for d in (x, y))
    return gy[..., :, None] * gx[..., None, :]


def in_full(output: FcnOutput) -> FcnOutput:
    """The maps in single precision, whatever the network ran in."""
    displacement = output.displacement
    return output._replace(
        heat=output.heat.float(),
        depth=output.depth.float(),
        displacement=None if displacement is None else displacement.float(),
    )


def person_loss(judged: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of logits (B,) that a crop shows a person, i.e. has a known joint."""
    person = (batch.joints[..., 2] > MIN_JOINT_DEPTH).any(1)
    return F.binary_cross_entropy_with_logits(judged, person.to(judged))


def _weighted(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum() / average(weight.sum()).clamp(min=1e-6)


def _near(maps: Tensor, pixels: Tensor, stride: int) -> Tensor:
    """(B, 18, 3, h, w) maps of the edges -> (B, 18, 3, 25): the cells round each edge's parent.

    Five by five cells: wherever a proposal of the parent can lie at stride 4.
    """
    h, w = maps.shape[-2:]
    cells = (pixels[:, EDGE_PARENTS] / stride).round().long()
    step = torch.arange(-2, 3, device=maps.device)
    x = (cells[..., 0, None, None] + step).clamp(0, w - 1)
    y = (cells[..., 1, None, None] + step[:, None]).clamp(0, h - 1)
    index = (y * w + x).flatten(2)[:, :, None].expand(-1, -1, 3, -1)
    return maps.flatten(3).gather(3, index)


def fcn_loss(output: FcnOutput, batch: Batch, stride: int, sigma: float) -> FcnLoss:
    """Heat, depth and displacement of one batch.

    The paper's network regresses Gaussians by the mean squared error (Eqn. 6).  The compact one's
    maps are distributions: cross-entropy against the normalized Gaussian, and the L1 distance of
    their expectation.  Depth is read under the heat map, displacement at the parent.  Means are
    over the joints of all processes (:func:`depth_pose_training.engine.distributed.average`).
    """
    target = gaussian_targets(batch.pixels, output.heat.shape, stride, sigma)
    probability = heat_probability(output)
    if output.logits:
        normal = target / target.sum((2, 3), keepdim=True).clamp(min=1e-6)
        heat = _weighted(-(normal * log_heat(output)).sum((2, 3)), batch.weight)
        h, w = output.heat.shape[-2:]
        cells = batch.pixels / stride
        columns, rows = (torch.arange(n, device=cells.device) for n in (w, h))
        x = (probability.sum(2) * columns).sum(-1)
        y = (probability.sum(3) * rows).sum(-1)
        position = _weighted((x - cells[..., 0]).abs() + (y - cells[..., 1]).abs(), batch.weight)
        total = heat + 0.5 * position
    else:
        squared = (output.heat - target).square().sum((2, 3))
        heat, position = _weighted(squared, batch.weight), squared.new_zeros(())
        total = heat
    relative = batch.joints[..., 2] - batch.frames[:, None, 3]
    # Joints far beyond the network's range of depth must not dominate.
    relative = relative.clamp(-1.5, 1.5)
    under = probability.detach()
    depth = _weighted(((output.depth * under).sum((2, 3)) - relative).abs(), batch.weight)
    total = total + 4.0 * depth
    displacement = total.new_zeros(())
    if output.displacement is not None:
        true = batch.joints[:, EDGE_CHILDREN] - batch.joints[:, EDGE_PARENTS]
        read = _near(output.displacement.unflatten(1, (len(EDGES), 3)), batch.pixels, stride)
        wrong = (read - true[..., None]).abs().sum(2).mean(-1)
        known = (batch.joints[:, EDGE_CHILDREN, 2] > MIN_JOINT_DEPTH).to(wrong.dtype)
        displacement = _weighted(wrong, batch.weight[:, EDGE_PARENTS] * known)
        total = total + 1.0 * displacement
    return FcnLoss(total, heat, position, depth, displacement)
