"""Whether a crop holds a person at all: an extension, the paper is given people.

The person detector sees the whole image from afar.  What the FCN saw in the crop, on its way to the
joints, tells people from furniture better than how sharp its heat maps came out.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_UNITS = 64
_GRID = (3, 2)  # rows and columns of means over the coarsest features


def context(coarse: Tensor, fine: Tensor, heat: Tensor) -> Tensor:
    """What :class:`PersonClassifier` looks at.

    Args:
        coarse: (B, C, h, w) the FCN's coarsest features.
        fine: (B, D, h', w') its finest.
        heat: (B, 19, h', w') its heat maps.

    Returns:
        (B, 7 C + 2 D + 19).
    """
    means = F.adaptive_avg_pool2d(coarse, _GRID).flatten(1)
    peaks = [x.amax((2, 3)) for x in (coarse, fine, heat)]
    return torch.cat((means, fine.mean((2, 3)), *peaks), dim=1)


class PersonClassifier(nn.Module):
    """Two layers on the FCN's context.

    Args:
        inputs: how many numbers a context has.

    Attributes:
        mean, scale: buffers (inputs,) of the contexts that it learned from.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.hidden = nn.Linear(inputs, _UNITS)
        self.drop = nn.Dropout(0.5)
        self.logit = nn.Linear(_UNITS, 1)

    def forward(self, context: Tensor) -> Tensor:
        """(B, inputs) -> (B,) logit that somebody is there."""
        x = (context - self.mean) / self.scale
        logits: Tensor = self.logit(self.drop(F.relu(self.hidden(x))))
        return logits[:, 0]
