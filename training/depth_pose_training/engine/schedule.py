"""The learning rate as a function of the step alone, so that a run can be resumed or shortened."""

from math import cos, pi

from torch.optim import Optimizer

_WARM_UP = 0.15  # share of the steps


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Up from peak / 25 and down to nothing along cosines (Smith, "Super-convergence", 2018).

    Args:
        step: steps done, from 0.
        steps: steps in all.
        peak: highest rate.
    """
    done = min(step / max(steps, 1), 1.0)
    if done < _WARM_UP:
        low = peak / 25
        return low + (peak - low) * (1 - cos(pi * done / _WARM_UP)) / 2
    return peak * (1 + cos(pi * (done - _WARM_UP) / (1 - _WARM_UP))) / 2


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give all parameter groups this learning rate, times their own "factor" if they have one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
