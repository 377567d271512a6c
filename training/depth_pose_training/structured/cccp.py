"""The latent structural SVM of Eqn. 9 by the concave-convex procedure (Sect. 4).

    min_w  1/2 |w|^2 + C sum_l [ max_g (w.F(g) + h(g, g_l)) - max_{g ~ g_l} w.F(g) ]

The paper prints "- h" inside the first maximum.  Here the loss is added, as in every
margin-rescaled structural SVM and in the derivation of CCCP for them (Yu and Joachims, 2009): the
score of a wrong configuration must be lower by its loss.

The second maximum is over the latent variable: the configurations of proposals near the true
joints.  Each round fixes it at the current w, which makes the concave part linear, and solves the
convex problem (:mod:`depth_pose_training.structured.structural_svm`).  The linear function is an
upper bound of the concave part, so the objective never increases.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from depth_pose_training.structured.structural_svm import Array, Bounds, Cuts, minimize


class LatentProblem(Protocol):
    """A problem with D weights."""

    @property
    def bounds(self) -> Bounds:
        """Of w."""

    def augmented(self, w: Array) -> tuple[Array, Array]:
        """sum_l max_g (w.F + h) per group of images: values (G,), subgradients (G, D)."""

    def completed(self, w: Array) -> tuple[float, Array]:
        """sum_l max_{g ~ g_l} w.F: value, subgradient (D,)."""


@dataclass(frozen=True)
class CccpResult:
    """Learned weights (D,), and the objective of Eqn. 9 at the start and after every round."""

    w: Array
    objectives: list[float]


def objective(problem: LatentProblem, c: float, w: Array) -> float:
    """Eqn. 9 at w."""
    hinge = float(problem.augmented(w)[0].sum()) - problem.completed(w)[0]
    return 0.5 * float(w @ w) + c * hinge


def best_length(problem: LatentProblem, c: float, w: Array, halvings: int = 7) -> Array:
    """w times the power of two, from 2 to 2^-halvings, with the lowest objective."""
    lengths = [2.0 ** (1 - i) for i in range(halvings + 2)]
    return w * min(lengths, key=lambda length: objective(problem, c, length * w))


def cccp(
    problem: LatentProblem,
    c: float,
    start: Array,
    rounds: int = 10,
    tolerance: float = 1e-3,
    calls: int = 100,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> CccpResult:
    """Minimize Eqn. 9 from a start.

    Args:
        problem: the data.
        c: C, per unit of the problem's sums.
        start: (D,), clipped to the bounds; determines the first latent configurations.
        rounds: maximum number of rounds.
        tolerance: stop if a round gains less than tolerance * C (so it is in units of h); also the
            gap of the inner problem.
        calls: maximum number of loss-augmented inferences per round.
        report: called with a dictionary after every inference and every round.
    """
    log = report or (lambda entry: None)
    w = np.clip(start, problem.bounds.lower, problem.bounds.upper)
    cuts = Cuts()
    objectives = [objective(problem, c, w)]
    for number in range(1, rounds + 1):
        value, v = problem.completed(w)
        offset = c * (float(v @ w) - value)  # 0 except for rounding
        solution = minimize(
            problem.augmented,
            v,
            c,
            w,
            problem.bounds,
            cuts,
            tolerance,
            calls,
            report=lambda j, gap, n=number: log(  # type: ignore[misc]
                {"round": n, "convex_objective": j, "gap": gap}
            ),
        )
        w = solution.w
        # The convex objective exceeds that of Eqn. 9 by the gain of new latent configurations.
        gained = problem.completed(w)[0] - float(v @ w)
        objectives.append(solution.objective + offset - c * gained)
        log({"round": number, "objective": objectives[-1], "calls": solution.calls})
        if objectives[-2] - objectives[-1] <= tolerance * c:
            break
    return CccpResult(w, objectives)
