"""A low-rank form of the paper's FCN, which trains ten times as fast.

The paper's network needs 15 G multiplications a crop, most of them in four wide 5 x 5 and 3 x 3
convolutions.  Here each of these is a product of three linear ones (1 x 1 down to a few channels,
k x k, 1 x 1 up) with nothing in between, and batch normalization follows every layer, after its
pool where it has one.  Products of linear maps are linear and batch normalization with fixed
statistics is too, and with scales above zero it commutes with pool and ReLU, so that
:meth:`LowRankPaperFcn.multiply_out` gives the paper's nine layers exactly, as printed: only the
weights' rank is limited, until the network is trained further in its own form.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.models.fcn import FcnOutput, PaperFcn

#: Rank of each low-rank layer, by its index among the paper's eight hidden convolutions.
RANKS = {1: 40, 2: 72, 3: 96, 4: 96, 5: 96}


class LowRankConv(nn.Module):
    """A k x k convolution of limited rank as three, all without bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, rank, 1, bias=False)
        self.middle = nn.Conv2d(rank, rank, kernel, padding=kernel // 2, bias=False)
        self.up = nn.Conv2d(rank, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        lifted: Tensor = self.up(self.middle(self.down(x)))
        return lifted

    def product(self) -> Tensor:
        """(outputs, inputs, k, k): the one kernel that does the same."""
        down, up = self.down.weight[:, :, 0, 0], self.up.weight[:, :, 0, 0]
        return torch.einsum("or,rsyx,si->oiyx", up, self.middle.weight, down)


class PositiveNorm(nn.BatchNorm2d):
    """Batch normalization with scales above zero: it commutes with maxima."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight.abs(),
            self.bias,
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


class LowRankPaperFcn(nn.Module):
    """The paper's FCN for training: low-rank layers and batch normalization.

    Attributes:
        stride: input pixels per heat-map cell.
    """

    stride = PaperFcn.stride

    def __init__(self, displacement: bool = False) -> None:
        super().__init__()
        plain = PaperFcn(displacement)
        layers: list[nn.Module] = []
        plain_layers = list(plain.features)
        for index, at in enumerate(
            i for i, layer in enumerate(plain_layers) if isinstance(layer, nn.Conv2d)
        ):
            convolution = plain_layers[at]
            assert isinstance(convolution, nn.Conv2d)
            layers.append(_low_rank(convolution, RANKS.get(index)))
            # What grows stays in order: a maximum may be taken before it is scaled and cut off at
            # zero, where there is a fourth of the work.
            if at + 2 < len(plain_layers) and isinstance(plain_layers[at + 2], nn.MaxPool2d):
                layers.append(plain_layers[at + 2])
            layers += [PositiveNorm(convolution.out_channels), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.heat, self.depth, self.displacement = plain.heat, plain.depth, plain.displacement

    def forward(self, crops: Tensor) -> FcnOutput:
        """As :meth:`PaperFcn.forward`."""
        features = self.features(crops)
        displacement = None if self.displacement is None else self.displacement(features)
        return FcnOutput(self.heat(features), self.depth(features), displacement, logits=False)

    @torch.no_grad()
    def multiply_out(self) -> PaperFcn:
        """The paper's network that gives what this one gives in evaluation mode."""
        plain = PaperFcn(self.displacement is not None)
        targets = (layer for layer in plain.features if isinstance(layer, nn.Conv2d))
        layers = [m for m in self.features if isinstance(m, (LowRankConv, nn.Conv2d))]
        norms = [m for m in self.features if isinstance(m, PositiveNorm)]
        for target, layer, norm in zip(targets, layers, norms, strict=True):
            kernel = layer.product() if isinstance(layer, LowRankConv) else layer.weight
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert target.bias is not None
            scale = norm.weight.abs() / (norm.running_var + norm.eps).sqrt()
            target.weight.copy_(kernel * scale[:, None, None, None])
            target.bias.copy_(norm.bias - norm.running_mean * scale)
        for name in ("heat", "depth", "displacement"):
            head = getattr(self, name)
            if head is not None:
                getattr(plain, name).load_state_dict(head.state_dict())
        return plain.eval()


def _low_rank(layer: nn.Conv2d, rank: int | None) -> nn.Module:
    kernel = layer.kernel_size[0]
    if rank is None:
        made: nn.Module = nn.Conv2d(
            layer.in_channels, layer.out_channels, kernel, padding=kernel // 2, bias=False
        )
    else:
        made = LowRankConv(layer.in_channels, layer.out_channels, kernel, rank)
    for part in made.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="linear")
    return made


def is_low_rank(state: Mapping[str, Tensor]) -> bool:
    """Whether a network's tensors are those of a :class:`LowRankPaperFcn`."""
    return any(name.endswith(".middle.weight") for name in state)
