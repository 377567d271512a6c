"""Classification of a crop as person or not, from the FCN's features (extension).

The features separate people from furniture better than the sharpness of the heat maps.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_UNITS = 64
_GRID = (3, 2)  # rows and columns of means over the coarsest features


def context(coarse: Tensor, fine: Tensor, heat: Tensor) -> Tensor:
    """Input of :class:`PersonClassifier`: pooled features of the FCN.

    Args:
        coarse: (B, C, h, w) the coarsest feature maps.
        fine: (B, D, h', w') the finest feature maps.
        heat: (B, 19, h', w') the heat maps.

    Returns:
        (B, 7 C + 2 D + 19).
    """
    means = F.adaptive_avg_pool2d(coarse, _GRID).flatten(1)
    peaks = [x.amax((2, 3)) for x in (coarse, fine, heat)]
    return torch.cat((means, fine.mean((2, 3)), *peaks), dim=1)


class PersonClassifier(nn.Module):
    """Two linear layers on the FCN's context.

    Args:
        inputs: size of the context.

    Attributes:
        mean, scale: buffers (inputs,) of the training contexts.
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
        """(B, inputs) -> (B,) logit of a person."""
        x = (context - self.mean) / self.scale
        logits: Tensor = self.logit(self.drop(F.relu(self.hidden(x))))
        return logits[:, 0]
