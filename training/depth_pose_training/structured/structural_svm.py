"""The convex inner problem of Eqn. 9: a regularized piecewise linear function, by cutting planes.

Minimizes over w

    J(w) = 1/2 |w|^2 + C (P(w) - v.w),     lower <= w <= upper,

where P is a maximum of linear functions known only through an oracle (loss-augmented inference)
and v is fixed (CCCP's linearisation).  P is a sum over groups of images, and each group has its own
slack: with one group this is the one-slack formulation (Joachims, Finley and Yu, 2009), with a
group per image the n-slack one (the paper's [5]).  More groups need fewer calls of the oracle, and
larger programmes.

The quadratic programmes go to Clarabel, an interior-point solver that CVXPY uses by default.  Their
optimum is a lower bound of J, the best w seen gives an upper one, and their difference is the
duality gap.

The optimum of a coarse model lies far from that of J, and the oracle's answers there say little
about where it is.  So the oracle is asked on the way from the best w to the model's optimum, nearer
to the one or to the other as that turns out well (Ben-Ameur and Neto, "Acceleration of
cutting-plane and column generation algorithms", 2007).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import clarabel  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]


_LEAST_STEP = 0.02  # share of the way from the best w to the model's optimum


class SolverError(RuntimeError):
    """The quadratic programme's solver gave up."""


class Oracle(Protocol):
    """P's groups at w: values (G,) and subgradients (G, D)."""

    def __call__(self, w: Array) -> tuple[Array, Array]: ...


@dataclass
class Cuts:
    """Lower bounds of P's groups, P_g(w) >= slope.w + offset; valid whatever v is.

    Attributes:
        slopes: (D,) each.
        offsets, groups: one of each per slope.
        idle: for how many programmes each has not been binding.
    """

    slopes: list[Array] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)

    def add(self, w: Array, values: Array, gradients: Array) -> None:
        """What one call of the oracle at ``w`` says."""
        for g, (value, slope) in enumerate(zip(values, gradients, strict=True)):
            self.slopes.append(slope)
            self.offsets.append(float(value - slope @ w))
            self.groups.append(g)
            self.idle.append(0)

    def retire(self, binding: NDArray[np.bool_], patience: int) -> None:
        """Drop what has not been binding for more than ``patience`` programmes."""
        idle = np.where(binding, 0, np.array(self.idle) + 1)
        rows = np.flatnonzero(idle <= patience)
        self.slopes = [self.slopes[i] for i in rows]
        self.offsets = [self.offsets[i] for i in rows]
        self.groups = [self.groups[i] for i in rows]
        self.idle = idle[rows].tolist()


@dataclass(frozen=True)
class Bounds:
    """Box constraints (D,), infinite where there is none."""

    lower: Array
    upper: Array


@dataclass(frozen=True)
class Solution:
    """Of the convex problem.

    Attributes:
        w: (D,) the best seen.
        objective: J there.
        gap: at most so far above the optimum.
        calls: of the oracle.
    """

    w: Array
    objective: float
    gap: float
    calls: int


def minimize(
    oracle: Oracle,
    v: Array,
    c: float,
    start: Array,
    bounds: Bounds,
    cuts: Cuts,
    tolerance: float = 1e-3,
    calls: int = 100,
    patience: int = 4,
    report: Callable[[float, float], None] | None = None,
) -> Solution:
    """Minimize J.

    Args:
        oracle: P.
        v: (D,).
        c: C, positive.
        start: (D,), within the bounds; the solution is never worse.
        bounds: on w.
        cuts: known already; new ones are added to them, so that a problem that differs in v alone
            starts warm.
        tolerance: stop at a gap of this many times C, that is, in units of P.
        calls: of the oracle, at the most.
        patience: cuts that do not bind for longer than so many programmes are dropped; small
            programmes are quick, and what turns out to be needed comes back.
        report: is given the objective and the gap after every call.

    Raises:
        SolverError: the solver failed on the first programme; where it fails later, the solution
            so far is returned.
    """
    best, best_value, lower = start, np.inf, -np.inf
    optimum, step = start, 1.0
    done = 0
    while done < calls:
        done += 1
        w = best + step * (optimum - best)
        values, gradients = oracle(w)
        cuts.add(w, values, gradients)
        objective = 0.5 * float(w @ w) + c * float(values.sum() - v @ w)
        if objective < best_value:
            best, best_value, step = w, objective, min(1.0, 2 * step)
        else:
            step = max(_LEAST_STEP, step / 2)
        try:
            optimum, bound, binding = solve_model(cuts, v, c, bounds, len(values))
        except SolverError:
            if np.isinf(lower):
                raise
            break  # what was found so far stands, with its gap
        lower = max(lower, bound)
        gap = best_value - lower
        if report is not None:
            report(best_value, gap)
        if gap <= tolerance * c:
            break
        cuts.retire(binding, patience)
    return Solution(best, best_value, best_value - lower, done)


def solve_model(
    cuts: Cuts, v: Array, c: float, bounds: Bounds, groups: int
) -> tuple[Array, float, NDArray[np.bool_]]:
    """The quadratic programme with the cuts in P's place.

    min 1/2 |w|^2 + c (sum_g xi_g - v.w)  subject to  slope.w + offset <= xi_group  for all cuts.

    Returns:
        w (D,), the optimum, and which cuts bind there.

    Raises:
        SolverError: the solver failed.
    """
    slopes, offsets = np.array(cuts.slopes), np.array(cuts.offsets)
    count, size = slopes.shape
    # The solver's numbers stay near 1 whatever c: xi is divided by its scale.
    scale = max(1.0, float(np.abs(offsets).max()))
    slack = sparse.csr_array(
        (np.full(count, -scale), (np.arange(count), cuts.groups)), (count, groups)
    )
    below, above = (
        np.flatnonzero(np.isfinite(bounds.lower)),
        np.flatnonzero(np.isfinite(bounds.upper)),
    )
    identity = sparse.eye_array(size + groups, format="csr")
    rows = sparse.vstack(
        [sparse.hstack([sparse.csr_array(slopes), slack]), -identity[below], identity[above]],
        format="csc",
    )
    right = np.concatenate([-offsets, -bounds.lower[below], bounds.upper[above]])
    quadratic = sparse.diags_array(np.concatenate([np.ones(size), np.zeros(groups)]), format="csc")
    linear = np.concatenate([-c * v, np.full(groups, c * scale)])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    solver = clarabel.DefaultSolver(
        sparse.csc_matrix(quadratic),
        linear,
        sparse.csc_matrix(rows),
        right,
        [clarabel.NonnegativeConeT(len(right))],
        settings,
    )
    solution = solver.solve()
    if solution.status not in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
        raise SolverError(f"the quadratic programme was not solved: {solution.status}")
    multipliers = np.array(solution.z[:count])
    binding = multipliers > 1e-6 * max(c * scale, 1e-12)
    w = np.clip(np.array(solution.x[:size]), bounds.lower, bounds.upper)
    return w, float(min(solution.obj_val, solution.obj_val_dual)), binding
