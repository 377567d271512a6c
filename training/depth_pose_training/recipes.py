"""Optimisers by name, with the paper's settings and ours."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from depth_pose_training.muon import Muon

OptimiserName = Literal["sgd", "adamw", "muon"]
OPTIMISERS: tuple[OptimiserName, ...] = get_args(OptimiserName)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        optimiser: "sgd" is the paper's, with momentum 0.9 and weight decay 0.0005; "adamw" learns
            the compact networks sooner, and "muon" their FCN sooner still.
        rate: highest learning rate, of one cycle.
        batch: crops per step, of all processes together.
    """

    optimiser: OptimiserName
    rate: float
    batch: int

    def changed(
        self, optimiser: OptimiserName | None, rate: float | None, batch: int | None
    ) -> "Recipe":
        """With what a command line says otherwise; a rate of 0 and a batch of 0 are not options."""
        return Recipe(optimiser or self.optimiser, rate or self.rate, batch or self.batch)

    def make(self, model: nn.Module) -> Optimizer:
        """The optimiser of a model's parameters."""
        learned = [p for p in model.parameters() if p.requires_grad]
        if self.optimiser == "sgd":
            return SGD(learned, self.rate, momentum=0.9, weight_decay=0.0005)
        if self.optimiser == "muon":
            return Muon(learned, self.rate, decay=0.01)
        return AdamW(learned, self.rate, weight_decay=0.01)
