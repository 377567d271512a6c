"""The latent structural SVM of Eqn. 9 by the concave-convex procedure (Sect. 4).

    min_w  1/2 |w|^2 + C sum_l [ max_g (w.F(g) + h(g, g_l)) - max_{g ~ g_l} w.F(g) ]

The paper prints "- h" inside the first maximum; as in every margin-rescaled structural SVM, and in
CCCP's own derivation for them (Yu and Joachims, 2009), the loss is added here: a wrong
configuration has to lose by its loss.

The second maximum is over what the truth leaves open, which of the proposals near the true joints
make the configuration.  Each round completes it at the present w, which makes a linear function of
the concave part, and solves the convex rest (:mod:`depth_pose_training.structured.structural_svm`).  As the
linear function is never above the concave part, the objective never rises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from depth_pose_training.structured.structural_svm import Array, Bounds, Cuts, minimize


class LatentProblem(Protocol):
    """What CCCP needs to know of a problem of D weights."""

    @property
    def bounds(self) -> Bounds:
        """On w."""

    def augmented(self, w: Array) -> tuple[Array, Array]:
        """sum_l max_g (w.F + h), by groups of images: values (G,), subgradients (G, D)."""

    def completed(self, w: Array) -> tuple[float, Array]:
        """sum_l max_{g ~ g_l} w.F: value, subgradient (D,)."""


@dataclass(frozen=True)
class CccpResult:
    """The learned weights (D,), and the objective of Eqn. 9 before and after every round."""

    w: Array
    objectives: list[float]


def objective(problem: LatentProblem, c: float, w: Array) -> float:
    """Eqn. 9 at w."""
    hinge = float(problem.augmented(w)[0].sum()) - problem.completed(w)[0]
    return 0.5 * float(w @ w) + c * hinge


def best_length(problem: LatentProblem, c: float, w: Array, halvings: int = 7) -> Array:
    """w, doubled or halved so many times: a start's direction is known sooner than its length."""
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
        start: (D,) within the bounds; decides the first completion.
        rounds: at the most.
        tolerance: stop when a round gains less than this many times C, that is, in units of h; also
            the gap to which the inner problem is solved.
        calls: of loss-augmented inference per round, at the most.
        report: is given a dictionary after every call and every round.
    """
    say = report or (lambda entry: None)
    w = np.clip(start, problem.bounds.lower, problem.bounds.upper)
    cuts = Cuts()
    objectives = [objective(problem, c, w)]
    for number in range(1, rounds + 1):
        value, v = problem.completed(w)
        offset = c * (float(v @ w) - value)  # zero, but for rounding
        solution = minimize(
            problem.augmented,
            v,
            c,
            w,
            problem.bounds,
            cuts,
            tolerance,
            calls,
            report=lambda j, gap, n=number: say(  # type: ignore[misc]
                {"round": n, "convex_objective": j, "gap": gap}
            ),
        )
        w = solution.w
        # The convex objective is above Eqn. 9's, by what completing anew would gain.
        gained = problem.completed(w)[0] - float(v @ w)
        objectives.append(solution.objective + offset - c * gained)
        say({"round": number, "objective": objectives[-1], "calls": solution.calls})
        if objectives[-2] - objectives[-1] <= tolerance * c:
            break
    return CccpResult(w, objectives)
