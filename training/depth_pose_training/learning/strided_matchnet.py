"""MatchNet on strided proposals, for cheaper training.

All pixels of a window need the tower at full resolution.  Proposals :data:`STEP` pixels apart need
it only with its strides (Fig. 5), once over the region: a twentieth of the work for a sixteenth
of the proposals, with the same features (tested).  A random phase covers all pixels over time.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from depth_pose_ros.core.models.matchnet import MatchNet, cut_regions
from depth_pose_ros.core.models.tower import STRIDE, Tower

STEP = 4  #: pixels between neighbouring proposals, the tower's stride before its last pool


def strided_phase(batch: int, towers: int, generator: torch.Generator) -> Tensor:
    """(B, towers, 2) int64 random offsets in pixels."""
    return torch.randint(STEP, (batch, towers, 2), generator=generator)


def strided_proposals(windows: Tensor, phase: Tensor) -> Tensor:
    """Every fourth pixel of each window, in both directions.

    Args:
        windows: (B, K, w * w, 2) int64, all pixels of each window, in row order.
        phase: (B, 1 or K, 2) from :func:`strided_phase`; parts that share a tower share an offset.

    Returns:
        (B, K, m * m, 2) int64 pixels, m = max(1, w // 4).
    """
    batch, parts, count, _ = windows.shape
    side = max(1, round(count**0.5) // STEP)
    first = windows[:, :, 0]
    first = first + (phase.to(first.device).expand(batch, parts, 2) - first) % STEP
    steps = STEP * torch.arange(side, device=windows.device)
    ys, xs = torch.broadcast_tensors(steps[:, None], steps[None, :])
    return first[:, :, None] + torch.stack((xs, ys), dim=-1).flatten(0, 1)


def embed_strided(matchnet: MatchNet, crops: Tensor, pixels: Tensor) -> Tensor:
    """Equal to ``matchnet.embed_proposals`` for strided proposals.

    Args:
        matchnet: the network.
        crops: (B, 1, H, W).
        pixels: (B, 19, n, 2) int64, those of a tower's parts congruent modulo :data:`STEP`.

    Returns:
        (B, 19, n, H1).

    Raises:
        ValueError: pixels that are not :data:`STEP` apart.
    """
    batch, parts, count, _ = pixels.shape
    groups = pixels.reshape(batch, matchnet.towers, -1, 2)
    origin = groups.amin(2)
    at = groups - origin[:, :, None]
    if (at % STEP).any():
        raise ValueError(f"a tower's proposals must lie {STEP} pixels apart, or multiples of it")
    span_x, span_y = (int(v) for v in at.flatten(0, 2).amax(0))
    extent = matchnet.extent
    regions = cut_regions(crops, origin - extent // 2, span_y + extent, span_x + extent)
    features = _features(matchnet.tower, regions)
    rows, columns = features.shape[-2:]
    table = features.permute(0, 2, 3, 1).reshape(batch * rows * columns * matchnet.towers, -1)

    steps = STRIDE // STEP * torch.arange(matchnet.side, device=pixels.device)
    offsets = (steps[:, None] * columns + steps).flatten()
    cells = at[..., 1] // STEP * columns + at[..., 0] // STEP
    cells = cells + (rows * columns) * torch.arange(batch, device=pixels.device)[:, None, None]
    towers = torch.arange(matchnet.towers, device=pixels.device)[:, None, None]
    index = (cells[..., None] + offsets) * matchnet.towers + towers
    patches = table.index_select(0, index.flatten()).view(batch, parts, count, -1)
    return matchnet.embed_features(patches)


def _features(tower: Tower, regions: Tensor) -> Tensor:
    """The tower with all strides but the last: one feature every 4 pixels."""
    x = regions
    for i, conv in enumerate(tower.convs):
        x = F.relu(conv(x))
        if i < 2:
            x = F.max_pool2d(x, 3, 2)
    return F.max_pool2d(x, 3, 1)
