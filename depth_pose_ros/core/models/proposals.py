"""Proposals for each part: a window of pixels around the coarse maximum (Sect. 3.1, Eqn. 1).

The paper's proposal is [x, y, w, h, k] with fixed w and h; here it is its centre pixel, and its
position in space, which the pairwise terms need.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from depth_pose_ros.core.crops import DEPTH_RANGE, FAR
from depth_pose_ros.core.models.fcn import FcnOutput, log_heat

#: Minimum depth of a joint, metres.
MIN_DEPTH = 0.05
#: Radius in cells of the sub-cell refinement (twice the targets' sigma of 5 px at stride 4).
_REFINE_RADIUS = 2


class Proposals(NamedTuple):
    """n proposals for each of K parts.

    Attributes:
        pixels: (B, K, n, 2) int64, (x, y) in the crop.
        points: (B, K, n, 3) metres, the joint's position in the optical frame.
        measured: (B, K, n) bool, whether z is the depth measured at the pixel; else the pixel is
            missing or shows another surface, and z is that of the FCN.
        side: of the square of pixels, in row order; 0 for any other set.
    """

    pixels: Tensor
    points: Tensor
    measured: Tensor
    side: int = 0


def coarse_maximum(output: FcnOutput, stride: int, refine: bool) -> Tensor:
    """Position of the maximum of every heat map (Eqn. 1).

    Args:
        output: of the FCN, h x w cells.
        stride: its input pixels per cell.
        refine: take the expectation over the cells around the highest one instead of that cell.

    Returns:
        (B, 19, 2) float, (x, y) in crop pixels.
    """
    heat = log_heat(output)
    batch, parts, rows, columns = heat.shape
    best = heat.flatten(2).argmax(-1)
    y, x = best // columns, best % columns
    if not refine:
        return stride * torch.stack((x, y), dim=-1).to(heat.dtype)
    steps = torch.arange(-_REFINE_RADIUS, _REFINE_RADIUS + 1, device=heat.device)
    ys, xs = torch.broadcast_tensors(
        y[..., None, None] + steps[:, None], x[..., None, None] + steps[None, :]
    )
    inside = (ys >= 0) & (ys < rows) & (xs >= 0) & (xs < columns)
    index = (ys.clamp(0, rows - 1) * columns + xs.clamp(0, columns - 1)).flatten(2)
    near = heat.flatten(2).gather(2, index).masked_fill(~inside.flatten(2), -torch.inf)
    weights = near.softmax(-1)
    cells = torch.stack((xs, ys), dim=-1).reshape(batch, parts, -1, 2).to(heat.dtype)
    return stride * (weights[..., None] * cells).sum(2)


def window_pixels(centres: Tensor, window: int, height: int, width: int) -> Tensor:
    """All pixels of a square window round each centre, row by row.

    The window is shifted to lie inside the crop where the centre is too near its border.

    Args:
        centres: (B, K, 2) float, (x, y) in crop pixels.
        window: its side, odd.
        height, width: size of the crop, at least ``window``.

    Returns:
        (B, K, window ** 2, 2) int64, (x, y).
    """
    half = window // 2
    x = centres[..., 0].round().long().clamp(half, width - 1 - half)
    y = centres[..., 1].round().long().clamp(half, height - 1 - half)
    steps = torch.arange(-half, half + 1, device=centres.device)
    ys, xs = torch.broadcast_tensors(
        y[..., None, None] + steps[:, None], x[..., None, None] + steps[None, :]
    )
    return torch.stack((xs, ys), dim=-1).flatten(2, 3)


def gather_proposals(values: Tensor, choice: Tensor) -> Tensor:
    """Values (B, K, n, C) of the chosen proposals (B, K): (B, K, C)."""
    return values.take_along_dim(choice[..., None, None], dim=2)[:, :, 0]


def locate(
    pixels: Tensor,
    depth_map: Tensor,
    stride: int,
    crops: Tensor,
    frames: Tensor,
    joint_depth_offset: Tensor,
    gate: Tensor | float,
) -> tuple[Tensor, Tensor]:
    """Position in space of a joint seen at a pixel.

    Its depth is the one measured at the pixel plus the joint's distance inside the body, wherever
    that agrees with the FCN's depth map; otherwise the depth map's own.

    Args:
        pixels: (B, K, n, 2), (x, y) in the crop, whole or fractional.
        depth_map: (B, K, h, w) metres, joint depth minus z_ref (:class:`FcnOutput`).
        stride: crop pixels per cell of it.
        crops: (B, 1, H, W).
        frames: (B, 4) ray_x, ray_y, step, z_ref (:class:`depth_pose_ros.core.crops.CropFrame`).
        joint_depth_offset: (K,) metres, joint's depth minus the body surface's in front of it.
        gate: metres, how much the two depths may differ.

    Returns:
        points (B, K, n, 3) metres, optical frame; measured (B, K, n) bool.
    """
    batch, parts, count, _ = pixels.shape
    _, _, height, width = crops.shape
    ray_x, ray_y, step, z_ref = (frames[:, i, None, None] for i in range(4))

    nearest = pixels.round().long() if pixels.is_floating_point() else pixels
    row, column = nearest[..., 1].clamp(0, height - 1), nearest[..., 0].clamp(0, width - 1)
    index = (row * width + column).view(batch, -1)
    value = crops.view(batch, -1).gather(1, index).view(batch, parts, count)

    predicted = z_ref + read_maps(depth_map[:, :, None], pixels, stride)[..., 0]
    seen = z_ref + DEPTH_RANGE * value + joint_depth_offset[:, None]
    # -1 and FAR are clipped values (FAR also missing ones), so they say nothing about the depth.
    measured = (value > -1.0) & (value < FAR) & ((seen - predicted).abs() < gate)
    z = torch.where(measured, seen, predicted).clamp(min=MIN_DEPTH)
    x, y = pixels[..., 0].to(z.dtype), pixels[..., 1].to(z.dtype)
    return torch.stack(((ray_x + step * x) * z, (ray_y + step * y) * z, z), dim=-1), measured


def read_maps(maps: Tensor, pixels: Tensor, stride: int) -> Tensor:
    """Bilinear reading of every part's own maps; beyond their border, the border's value.

    Args:
        maps: (B, K, C, h, w), cell (i, j) centred on crop pixel (y, x) = stride * (i, j).
        pixels: (B, K, n, 2), (x, y) in the crop.
        stride: crop pixels per cell.

    Returns:
        (B, K, n, C).
    """
    batch, parts, channels, rows, columns = maps.shape
    last = torch.tensor((columns - 1, rows - 1), dtype=maps.dtype, device=maps.device)
    grid = pixels.to(maps.dtype) * (2 / stride) / last - 1
    values = F.grid_sample(
        maps.reshape(batch * parts, channels, rows, columns),
        grid.view(batch * parts, 1, -1, 2),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return values.view(batch, parts, channels, -1).transpose(2, 3)


def read_smooth(maps: Tensor, pixels: Tensor, stride: int, side: int = 0) -> Tensor:
    """Cubic (Catmull-Rom) reading of every part's own map at whole pixels.

    Unlike bilinear reading it can have its maximum between cells, and gives parabolas, which is
    what logarithms of Gaussians are, exactly.

    Args:
        maps: (B, K, h, w), cell (i, j) centred on crop pixel (y, x) = stride * (i, j).
        pixels: (B, K, n, 2) int64, (x, y) in the crop, at most one cell beyond the last.
        stride: crop pixels per cell.
        side: of the square that the pixels are, row by row: it is much faster to know.

    Returns:
        (B, K, n).
    """
    rows, columns = (_cubic_on(size, stride, maps.device, maps.dtype) for size in maps.shape[-2:])
    if side:
        y, x = pixels[:, :, ::side, 1], pixels[:, :, :side, 0]
        return (rows[y] @ maps @ columns[x].transpose(-1, -2)).flatten(2)
    fine = rows @ maps @ columns.T
    index = pixels[..., 1] * fine.shape[-1] + pixels[..., 0]
    return fine.flatten(2).gather(2, index)


@lru_cache(maxsize=16)
def _cubic_on(cells: int, stride: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    # Made outside of inference mode, so that training may use it too.
    with torch.inference_mode(False):
        return torch.from_numpy(_cubic(cells, stride)).to(device, dtype)


def _cubic(cells: int, stride: int) -> NDArray[np.float64]:
    """(cells * stride, cells) interpolation matrix; beyond the border, the border's value."""
    position = np.arange(cells * stride) / stride
    whole = np.floor(position).astype(int)
    t = position - whole
    weights = (
        t * (-1 + t * (2 - t)) / 2,
        (2 + t * t * (3 * t - 5)) / 2,
        t * (1 + t * (4 - 3 * t)) / 2,
        t * t * (t - 1) / 2,
    )
    matrix = np.zeros((len(position), cells))
    for step, weight in enumerate(weights, start=-1):
        np.add.at(matrix, (np.arange(len(position)), np.clip(whole + step, 0, cells - 1)), weight)
    return matrix
