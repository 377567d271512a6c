"""Optimizers by name, with the paper's settings and ours."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from depth_pose_training.engine.muon import Muon

OptimizerName = Literal["sgd", "adamw", "muon"]
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)


@dataclass(frozen=True)
class OptimizerConfig:
    """How a network is trained.

    Attributes:
        optimizer: "sgd" is the paper's, with momentum 0.9 and weight decay 0.0005; "adamw" learns
            the compact networks sooner, and "muon" their FCN sooner still.
        rate: highest learning rate, of one cycle.
        batch: crops per step, of all processes together.
    """

    optimizer: OptimizerName
    rate: float
    batch: int

    def changed(
        self, optimizer: OptimizerName | None, rate: float | None, batch: int | None
    ) -> "OptimizerConfig":
        """With what a command line says otherwise; a rate of 0 and a batch of 0 are not options."""
        return OptimizerConfig(optimizer or self.optimizer, rate or self.rate, batch or self.batch)

    def make(self, model: nn.Module) -> Optimizer:
        """The optimizer of a model's parameters."""
        learned = [p for p in model.parameters() if p.requires_grad]
        if self.optimizer == "sgd":
            return SGD(learned, self.rate, momentum=0.9, weight_decay=0.0005)
        if self.optimizer == "muon":
            return Muon(learned, self.rate, decay=0.01)
        return AdamW(learned, self.rate, weight_decay=0.01)
