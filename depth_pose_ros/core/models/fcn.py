"""Fully convolutional networks from a crop to heat maps (Sect. 3.1, Fig. 3).

Both take (B, 1, 216, 176) crops and give an :class:`FcnOutput`.  Their cell (row, column) of a map
is centred on input pixel (stride * row, stride * column).
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.person_classifier import context
from depth_pose_ros.core.skeleton import EDGES, NUM_JOINTS


class FcnOutput(NamedTuple):
    """Maps over the crop; h x w cells, joints in the skeleton's order.

    Attributes:
        heat: (B, 19, h, w) where each joint is: logits or regressed Gaussians, see ``logits``.
        depth: (B, 19, h, w) metres, the joint's depth minus the crop's z_ref, to be read under the
            heat map (an extension: gives occluded joints a depth).
        displacement: (B, 54, h, w) metres or None; channels 3 e .. 3 e + 2 are child minus parent
            of edge e (x, y, z in the optical frame), to be read at the parent's cell (an
            extension).
        logits: ``heat`` goes through a softmax over the cells (compact network); if False it is
            a regressed Gaussian of height 1 (paper, Eqn. 6).
        context: (B, F) or None; input of the person classifier.
    """

    heat: Tensor
    depth: Tensor
    displacement: Tensor | None
    logits: bool
    context: Tensor | None = None

    def clone(self) -> "FcnOutput":
        """Maps of their own: a compiled FCN's hold until its next call."""
        moves, context = (
            None if p is None else p.clone() for p in (self.displacement, self.context)
        )
        return FcnOutput(self.heat.clone(), self.depth.clone(), moves, self.logits, context)

    def of(self, crops: Tensor) -> "FcnOutput":
        """The maps of some crops, by index."""
        parts = (self.heat, self.depth, self.displacement, self.context)
        heat, depth, moves, context = (None if p is None else p[crops] for p in parts)
        assert heat is not None
        assert depth is not None
        return FcnOutput(heat, depth, moves, self.logits, context)


#: Added to regressed Gaussians before they are normalized: keeps their logarithm finite.
_GAUSSIAN_FLOOR = 1e-4


def log_heat(output: FcnOutput) -> Tensor:
    """(B, 19, h, w) logarithm of :func:`heat_probability`."""
    if output.logits:
        return output.heat.flatten(2).log_softmax(-1).view_as(output.heat)
    heat = output.heat.clamp(min=0) + _GAUSSIAN_FLOOR
    return heat.log() - heat.sum((2, 3), keepdim=True).log()


def heat_probability(output: FcnOutput) -> Tensor:
    """(B, 19, h, w): how likely each joint is in each cell; every map sums to 1.

    It hides the difference between the two networks' heat maps.
    """
    return log_heat(output).exp()


class PaperFcn(nn.Module):
    """The paper's nine layers (Fig. 3): 1 x 216 x 176 -> 19 x 28 x 23, 8.34 M parameters.

    Convolutions are padded "same", pools by 1 with ceil rounding (Caffe's rule), which gives
    exactly the figure's sizes.  ``depth`` and ``displacement`` are extensions: 1 x 1 layers on the
    128 channels under the heat maps, outside the paper's nine.

    Attributes:
        stride: input pixels per heat-map cell.
        logits: kind of heat maps, see :class:`FcnOutput`.
    """

    stride = 8
    logits = False

    def __init__(self, displacement: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv_relu(1, 96, 7),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            *_conv_relu(96, 256, 5),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            *_conv_relu(256, 384, 5),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            *_conv_relu(384, 384, 5),
            *_conv_relu(384, 256, 3),
            *_conv_relu(256, 256, 3),
            *_conv_relu(256, 256, 1),
            *_conv_relu(256, 128, 1),
        )
        self.heat = nn.Conv2d(128, NUM_JOINTS, 1)
        self.depth = nn.Conv2d(128, NUM_JOINTS, 1)
        self.displacement = nn.Conv2d(128, 3 * len(EDGES), 1) if displacement else None
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                # The paper names no initialization; this one keeps the signal through nine layers.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                _zero_bias(layer)
        _small_heads(self.heat, self.depth, self.displacement)

    def forward(self, crops: Tensor) -> FcnOutput:
        """(B, 1, H, W) crops -> maps of stride 8; ``heat`` are regressed Gaussians."""
        features = self.features(crops)
        displacement = None if self.displacement is None else self.displacement(features)
        return FcnOutput(self.heat(features), self.depth(features), displacement, self.logits)


class CompactFcn(nn.Module):
    """A small residual network for two CPU cores: 1 x 216 x 176 -> 19 x 54 x 44.

    Attributes:
        stride: input pixels per heat-map cell.
        logits: kind of heat maps, see :class:`FcnOutput`.
        contexts: size of its context.
    """

    stride = 4
    logits = True
    contexts = 7 * 128 + 2 * 64 + NUM_JOINTS

    def __init__(
        self, displacement: bool = True, blocks: int = 2, up_blocks: int = 1, fine_blocks: int = 1
    ) -> None:
        """Args:
        displacement: whether to predict displacement maps.
        blocks: residual blocks at stride 16.
        up_blocks: residual blocks at stride 8 of the decoder.
        fine_blocks: residual blocks at stride 4 of the decoder.
        """
        super().__init__()
        self.stem = _conv_bn_relu(1, 32, 5, stride=2)
        self.down4 = nn.Sequential(_conv_bn_relu(32, 48, 3, stride=2), Residual(48))
        self.down8 = nn.Sequential(_conv_bn_relu(48, 96, 3, stride=2), Residual(96), Residual(96))
        self.down16 = nn.Sequential(
            _conv_bn_relu(96, 128, 3, stride=2), *(Residual(128) for _ in range(blocks))
        )
        self.lift8 = nn.Conv2d(128, 96, 1)
        self.up8 = Residual(96)
        # Separate from up8 and up4, so that older weights load.
        self.more8 = nn.Sequential(*(Residual(96) for _ in range(up_blocks - 1)))
        self.lift4 = nn.Conv2d(96, 64, 1)
        self.lateral4 = nn.Conv2d(48, 64, 1)
        self.up4 = Residual(64)
        self.more4 = nn.Sequential(*(Residual(64) for _ in range(fine_blocks - 1)))
        self.heat = nn.Conv2d(64, NUM_JOINTS, 1)
        self.depth = nn.Conv2d(64, NUM_JOINTS, 1)
        self.displacement = nn.Conv2d(64, 3 * len(EDGES), 1) if displacement else None
        _small_heads(self.heat, self.depth, self.displacement)

    def forward(self, crops: Tensor) -> FcnOutput:
        """(B, 1, H, W) crops -> maps of stride 4; ``heat`` are logits."""
        c4 = self.down4(self.stem(crops))
        c8 = self.down8(c4)
        c16 = self.down16(c8)
        p8 = self.more8(self.up8(c8 + _upsample_to(self.lift8(c16), c8)))
        p4 = self.more4(self.up4(self.lateral4(c4) + _upsample_to(self.lift4(p8), c4)))
        displacement = None if self.displacement is None else self.displacement(p4)
        heat = self.heat(p4)
        return FcnOutput(heat, self.depth(p4), displacement, self.logits, context(c16, p4, heat))


class Residual(nn.Module):
    """Two batch-normalized 3 x 3 convolutions around an identity; keeps the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv_bn_relu(channels, channels, 3)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return F.relu(x + self.norm(self.second(self.first(x))))


def build_fcn(config: ModelConfig) -> PaperFcn | CompactFcn:
    """A configuration's network, freshly initialized."""
    if config.fcn == "paper":
        return PaperFcn(config.displacement)
    return CompactFcn(
        config.displacement, config.fcn_blocks, config.fcn_up_blocks, config.fcn_fine_blocks
    )


def _conv_relu(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(inplace=True)


def _conv_bn_relu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _upsample_to(coarse: Tensor, fine: Tensor) -> Tensor:
    # Odd sizes round up on the way down, so twice the coarse map can be one cell too large.
    doubled = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    return doubled[..., : fine.shape[-2], : fine.shape[-1]]


def _small_heads(*heads: nn.Conv2d | None) -> None:
    # Depth and displacement start near zero, that is at z_ref, and heat maps near flat.
    for head in heads:
        if head is not None:
            nn.init.normal_(head.weight, std=0.01)
            _zero_bias(head)


def _zero_bias(layer: nn.Conv2d) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
