"""MatchNet's feature tower (Fig. 5): on an isolated patch, on a patch in its place, or densely.

How a patch lies round its pixel.  The tower turns a 32 x 32 patch into 4 x 4 features, one for
every 8 x 8 px.  In an isolated patch, as the figure draws it, the layers pad with zeros at its
border.  In a crop there are real pixels beyond that border, and here the features see them: only
then can overlapping patches share all work, since a pixel's features no longer depend on the patch
it is in.  The layers as they are (7 x 7, pool, 3 x 3, pool, pool) reach :data:`HALO` = 8.5 px, so
the pixels that count are a square of 32 + 17 = 49 px round the proposal's pixel (x, y): from
x - 24 to x + 24.  Its 4 x 4 features have receptive fields of 25 px, centred on x - 12, x - 4,
x + 4 and x + 12: the middles of the four 8 px wide columns of the 32 px wide box round (x, y).
Outside the crop there is :data:`depth_pose_ros.core.crops.FAR`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8  #: crop pixels between neighbouring features of a patch
HALO = 8.5  #: crop pixels beyond each side of the nominal patch that its features see

REACH = 24  #: by how much a region is larger than its dense features


def patch_extent(patch: int) -> int:
    """Side of the square that a nominal ``patch`` sees, in pixels; odd (49 for 32)."""
    return patch + int(2 * HALO)


class Tower(nn.Module):
    """Three convolution stages with pools; ``parts`` independent towers side by side.

    Args:
        parts: number of towers; channels of tower p are the p-th block of channels.
        channels: of the five layers (paper: 24, 64, 96, 96, 64).
    """

    def __init__(self, parts: int, channels: Sequence[int]) -> None:
        super().__init__()
        kernels = (7, 3, 1, 1, 1)
        inputs = (1, *channels[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(parts * i, parts * o, k, groups=parts)
            for i, o, k in zip(inputs, channels, kernels, strict=True)
        )
        self.pools = nn.ModuleList(nn.MaxPool2d(3, 2, ceil_mode=True) for _ in range(3))
        for conv in self.layers():
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, patches: Tensor, isolated: bool = False) -> Tensor:
        """Features of one patch per tower: the layers as the figure writes them.

        Args:
            patches: (N, parts, P, P) crop values; P = patch + 17, the pixel of interest in the
                middle.  With ``isolated``, P = patch, and convolutions pad with zeros.

        Returns:
            (N, parts * C, patch / 8, patch / 8).
        """
        x = patches
        for i, conv in enumerate(self.layers()):
            reach = (3, 1, 0, 0, 0)[i] if isolated else 0
            x = F.relu(conv(F.pad(x, (reach,) * 4)))
            if i in (0, 1, 4):
                x = self.pools[min(i, 2)](x)
        return x

    def dense(self, region: Tensor) -> Tensor:
        """The same features for a patch round every pixel of a region at once.

        Each pool's stride of 2 becomes a dilation by 2 of all that follows, so every stage is
        computed once for all overlapping patches.

        Args:
            region: (N, parts, h, w) crop values.

        Returns:
            (N, parts * C, h - 24, w - 24): the single feature whose receptive field is centred on
            region pixel (row + 12, column + 12).  The features of a patch lie 8 apart.
        """
        x, dilation = region, 1
        for i, conv in enumerate(self.layers()):
            x = F.conv2d(x, conv.weight, conv.bias, 1, 0, dilation, conv.groups)
            x = F.relu(x, inplace=True)
            if i in (0, 1, 4):
                x = _dense_pool(x, dilation)
                dilation *= 2
            if i == 0 and conv.groups == 1:
                # With channels innermost the layers from here on run twice as fast.
                x = x.contiguous(memory_format=torch.channels_last)
        return x

    def layers(self) -> list[nn.Conv2d]:
        return [conv for conv in self.convs if isinstance(conv, nn.Conv2d)]


def _dense_pool(x: Tensor, dilation: int) -> Tensor:
    """3 x 3 maximum with stride 1 and a dilation: rows, then columns."""
    d = dilation
    x = torch.maximum(torch.maximum(x[..., : -2 * d, :], x[..., d:-d, :]), x[..., 2 * d :, :])
    return torch.maximum(torch.maximum(x[..., : -2 * d], x[..., d:-d]), x[..., 2 * d :])
