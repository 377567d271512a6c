"""Optimisers by name, with the paper's settings and ours."""

from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

OptimiserName = Literal["sgd", "adamw"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        optimiser: "sgd" is the paper's, with momentum 0.9 and weight decay 0.0005; "adamw" learns
            the compact networks sooner.
        rate: highest learning rate, of one cycle.
        batch: crops per step, of all processes together.
    """

    optimiser: OptimiserName
    rate: float
    batch: int

    def changed(self, optimiser: str | None, rate: float | None, batch: int | None) -> "Recipe":
        """With what a command line says otherwise; a rate of 0 and a batch of 0 are not options."""
        name: OptimiserName = "sgd" if (optimiser or self.optimiser) == "sgd" else "adamw"
        return Recipe(name, rate or self.rate, batch or self.batch)

    def make(self, model: nn.Module) -> Optimizer:
        """The optimiser of a model's parameters."""
        learned = [p for p in model.parameters() if p.requires_grad]
        if self.optimiser == "sgd":
            return SGD(learned, self.rate, momentum=0.9, weight_decay=0.0005)
        return AdamW(learned, self.rate, weight_decay=0.01)
