"""An alternative to the SVM (extension): w of a conditional random field, p(g) ~ exp(w.F(g)).

The compact model decodes joints as expectations under the marginals of p, whereas Eqn. 9 only
depends on the best configuration.  Here w is learned by gradient descent through sum-product with
one of two losses:

- "likelihood": negative log-probability of all configurations that agree with the true joints, the
  latent CRF (Quattoni et al., 2007) that corresponds to the latent SVM of Eqn. 9;
- "expectation": error of the expected joints, in pixels and in space.

The temperature is 1; the scale of w has the same effect.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from tqdm import trange

from depth_pose_ros.core.crops import METRES_PER_PIXEL
from depth_pose_ros.core.models.decode import proposal_weights, weighted_mean
from depth_pose_ros.core.models.tree_inference import sum_product
from depth_pose_ros.core.skeleton import EDGES
from depth_pose_training.structured.tree_data import TreeData
from depth_pose_training.structured.tree_problem import TreeWeights, feature_scale, tree_terms

Objective = Literal["likelihood", "expectation"]
#: Meters; error at which the loss has reached half of its limit.
_ROBUST = 0.05


@dataclass(frozen=True)
class CrfSettings:
    """Settings of the optimization.

    Attributes:
        objective: the loss.
        steps: number of gradient steps.
        batch: crops per step.
        rate: learning rate of Adam with cosine decay to 0, for features of standard deviation 1.
        decay: weight of 1/2 |w - start|^2, for scaled features.
        unary_share: weight in [0, 1] of the loss without pairwise terms, which keeps the unary
            terms useful alone.
        seed: of the batches.
    """

    objective: Objective = "expectation"
    steps: int = 400
    batch: int = 16
    rate: float = 0.02
    decay: float = 0.01
    unary_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise ValueError(f"objective must be one of {get_args(Objective)}")


def negative_log_likelihood(data: TreeData, unary: Tensor, pairwise: Tensor | None) -> Tensor:
    """(L,) -log p(g agrees with the true joints), per supervised part."""
    allowed = unary.masked_fill(~data.allowed, -torch.inf)
    if pairwise is None:
        gap = unary.logsumexp(-1).sum(1) - allowed.logsumexp(-1).sum(1)
    else:
        gap = sum_product(unary, pairwise, EDGES)[0] - sum_product(allowed, pairwise, EDGES)[0]
    return gap / data.supervised.sum(1).clamp(min=1)


def expectation_loss(data: TreeData, unary: Tensor, pairwise: Tensor | None) -> Tensor:
    """(L,) saturating error of the expected joints, in the image plus in space."""
    share = proposal_weights(unary, pairwise, "marginals")
    pixels, joints = weighted_mean(share, data.pixels), weighted_mean(share, data.points)
    weight = data.weight * data.supervised
    wrong = _saturating((pixels - data.truth_pixels) * METRES_PER_PIXEL) + _saturating(
        joints - data.truth_joints
    )
    return (wrong * weight).sum(1) / weight.sum(1).clamp(min=1)


def fit(
    data: TreeData,
    start: TreeWeights,
    settings: CrfSettings,
    report: Callable[[dict[str, float]], None] | None = None,
) -> TreeWeights:
    """Learn w, beginning at ``start``; the quadratic weights of Gamma stay at most 0."""
    scale = feature_scale(data).flat()
    first = start.flat() * scale
    w = first.clone().requires_grad_(True)
    loss_of = negative_log_likelihood if settings.objective == "likelihood" else expectation_loss
    optimizer = torch.optim.Adam([w], settings.rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    generator = torch.Generator().manual_seed(settings.seed)
    running: list[float] = []
    for step in trange(1, settings.steps + 1, unit="step"):
        chosen = torch.randint(len(data), (settings.batch,), generator=generator)
        batch = data[chosen]
        unary, pairwise = tree_terms(batch, TreeWeights.of(w / scale))
        whole, alone = loss_of(batch, unary, pairwise).mean(), loss_of(batch, unary, None).mean()
        share = settings.unary_share
        total = (1 - share) * whole + share * alone
        total = total + 0.5 * settings.decay * (w - first).square().sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            TreeWeights.of(w).gamma[:, 1::2].clamp_(max=0)
        running.append(float(whole.detach()))
        if report is not None and (step % 50 == 0 or step == settings.steps):
            report({"step": step, "loss": sum(running) / len(running)})
            running.clear()
    return TreeWeights.of((w / scale).detach())


def _saturating(error: Tensor) -> Tensor:
    distance = (error.square().sum(-1) + 1e-6).sqrt()
    return distance / (distance + _ROBUST)
