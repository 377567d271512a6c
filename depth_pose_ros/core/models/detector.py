"""The person detector's network: a whole depth image in, a map of people out.

An extension: the paper is given crops.  One heat map says where people's trunks are (after "Objects
as points", Zhou et al., 2019); beside it, where exactly the middle of the spine is, and how far.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.models.config import ConfigError
from depth_pose_ros.core.models.fcn import Residual

#: Depth is clamped to this, metres.
MAX_DEPTH = 8.0


@dataclass(frozen=True)
class DetectorConfig:
    """What a detector is made of.

    Attributes:
        focal: focal length in pixels that images are resampled to.
        channels: widths at strides 2, 4, 8 and 16.
    """

    focal: float = 110.0
    channels: tuple[int, int, int, int] = (16, 32, 64, 96)

    def to_json(self) -> str:
        """The configuration as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "DetectorConfig":
        """Inverse of :meth:`to_json`.

        Raises:
            ConfigError: not such an object.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            return cls(float(data["focal"]), tuple(int(c) for c in data["channels"]))  # type: ignore[arg-type]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a detector's configuration: {text[:80]!r} ({error})") from error


class DetectorOutput(NamedTuple):
    """Maps over the image, one cell per STRIDE pixels; cell i is centred on pixel STRIDE * i.

    Attributes:
        heat: (B, h, w) logits: is a person's centre here?
        offset: (B, 2, h, w) pixels, x and y from the cell's centre to the middle of the spine.
        depth: (B, h, w) metres, of the middle of the spine.
    """

    heat: Tensor
    offset: Tensor
    depth: Tensor


class PersonDetector(nn.Module):
    """A small residual encoder and decoder; sees people from 0.5 m to :data:`MAX_DEPTH`.

    Attributes:
        stride: input pixels per cell.
        multiple: image sides must be multiples of this.
    """

    stride = 4
    multiple = 16

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        c2, c4, c8, c16 = config.channels
        self.stem = _down(3, c2, 5)
        self.down4 = nn.Sequential(_down(c2, c4), Residual(c4))
        self.down8 = nn.Sequential(_down(c4, c8), Residual(c8))
        self.down16 = nn.Sequential(_down(c8, c16), Residual(c16), Residual(c16), Residual(c16))
        self.lift8 = nn.Conv2d(c16, c8, 1)
        self.up8 = Residual(c8)
        self.lift4 = nn.Conv2d(c8, c4, 1)
        self.up4 = Residual(c4)
        self.head = nn.Conv2d(c4, 4, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        # People are rare: start from a low prior, so that the first steps do not drown in empty
        # cells.
        self.head.bias = nn.Parameter(torch.tensor((-4.0, 0.0, 0.0, 0.0)))

    def forward(self, depth: Tensor) -> DetectorOutput:
        """(B, H, W) metres, 0 where missing -> maps; H and W multiples of :attr:`multiple`."""
        known = (depth > 0).to(depth.dtype)
        near = known / depth.clamp(min=0.4)
        x = torch.stack((depth.clamp(max=MAX_DEPTH) / 4 - known, near, known), dim=1)
        c4 = self.down4(self.stem(x))
        c8 = self.down8(c4)
        p8 = self.up8(c8 + _double(self.lift8(self.down16(c8))))
        maps = self.head(self.up4(c4 + _double(self.lift4(p8))))
        return DetectorOutput(maps[:, 0], 4.0 * maps[:, 1:3], 2.5 + 2.0 * maps[:, 3])


def build_detector(config: str) -> PersonDetector:
    """An untrained detector from its JSON configuration."""
    return PersonDetector(DetectorConfig.from_json(config))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _down(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
