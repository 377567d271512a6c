"""Muon: momentum made orthogonal, for the kernels of convolutions.

A kernel is a matrix from its inputs to its outputs; a step moves along all directions of its
momentum alike instead of along the few strong ones (Jordan et al., "Muon", 2024).  torch.optim.Muon
takes matrices only; this takes kernels as they are, and AdamW what is no matrix.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

_MOMENTUM = 0.95
#: Of x, x^3 and x^5: iterated, it takes singular values between 0 and 1 close to 1.
_QUINTIC = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
#: Makes a step as long as AdamW's usually are, so that rates carry over (Liu et al., 2025).
_LENGTH = 0.2


class Muon(AdamW):
    """Muon for kernels, AdamW for everything else: biases, norms, 1 x 1 and first layers.

    ``step`` leaves kernels without their gradients.

    Args:
        parameters: those that learn.
        rate: for both.
        decay: weight decay, for both.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, decay: float) -> None:
        given = list(parameters)
        kernels = [p for p in given if _is_kernel(p)]
        others = [p for p in given if not _is_kernel(p)]
        groups = [{"params": p} for p in (others, kernels) if p]
        super().__init__(groups, rate, weight_decay=decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters; returns what ``closure`` does, None without one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and _is_kernel(p):
                    self._move(p, p.grad, group["lr"], group["weight_decay"])
                    p.grad = None  # AdamW passes over it
        super().step()
        return loss

    def _move(self, p: nn.Parameter, gradient: Tensor, rate: float, decay: float) -> None:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
            state["step"] = torch.zeros(())  # AdamW restores no state without
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = gradient.lerp(momentum, _MOMENTUM)  # Nesterov's
        matrix = orthogonal(ahead.flatten(1))
        p.mul_(1 - rate * decay)
        p.add_(matrix.view(ahead.shape), alpha=-rate * _LENGTH * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Tensor) -> Tensor:
    """(M, N) -> (M, N) with the same singular vectors and singular values of about 1.

    By Newton and Schulz' iteration: between 0.7 and 1.2, but for those that are next to nothing.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide is matrix else x.T


def _is_kernel(p: nn.Parameter) -> bool:
    return p.ndim == 4 and p.shape[1] > 1 and p[0, 0].numel() > 1
