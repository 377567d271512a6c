"""The convex inner problem of Eqn. 9: a regularized piecewise linear function, by cutting planes.

Minimizes over w

    J(w) = 1/2 |w|^2 + C (P(w) - v.w),     lower <= w <= upper,

where P is a maximum of linear functions, given by an oracle (loss-augmented inference), and v is
fixed (the linearization of CCCP).  P is a sum over groups of images with one slack variable each:
one group is the one-slack formulation (Joachims, Finley and Yu, 2009), one group per image the
n-slack formulation (reference [5] of the paper).  More groups need fewer oracle calls but larger
quadratic programs.

Clarabel, an interior-point solver and the default of CVXPY, solves the quadratic programs.  Their
optimum is a lower bound of J, the best w so far gives an upper bound, and the difference is the
duality gap.

The optimum of a model with few cuts is far from that of J.  The oracle is therefore called between
the best w and the optimum of the model, with an adaptive step (Ben-Ameur and Neto, "Acceleration of
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

_MIN_STEP = 0.02  # fraction of the way from the best w to the optimum of the model


class SolverError(RuntimeError):
    """The solver of the quadratic program failed."""


class Oracle(Protocol):
    """The groups of P at w: values (G,) and subgradients (G, D)."""

    def __call__(self, w: Array) -> tuple[Array, Array]: ...


@dataclass
class Cuts:
    """Lower bounds of the groups of P, P_g(w) >= slope.w + offset, for any v.

    Attributes:
        slopes: (D,) each.
        offsets, groups: one per slope.
        idle: number of quadratic programs since the cut was last binding.
    """

    slopes: list[Array] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)

    def add(self, w: Array, values: Array, gradients: Array) -> None:
        """Add the cuts from one oracle call at ``w``."""
        for g, (value, slope) in enumerate(zip(values, gradients, strict=True)):
            self.slopes.append(slope)
            self.offsets.append(float(value - slope @ w))
            self.groups.append(g)
            self.idle.append(0)

    def retire(self, binding: NDArray[np.bool_], patience: int) -> None:
        """Drop cuts that have not been binding for more than ``patience`` quadratic programs."""
        idle = np.where(binding, 0, np.array(self.idle) + 1)
        rows = np.flatnonzero(idle <= patience)
        self.slopes = [self.slopes[i] for i in rows]
        self.offsets = [self.offsets[i] for i in rows]
        self.groups = [self.groups[i] for i in rows]
        self.idle = idle[rows].tolist()


@dataclass(frozen=True)
class Bounds:
    """Box constraints (D,); infinite means none."""

    lower: Array
    upper: Array


@dataclass(frozen=True)
class Solution:
    """Solution of the convex problem.

    Attributes:
        w: (D,), the best found.
        objective: J(w).
        gap: upper bound of the distance of J(w) from the optimum.
        calls: number of oracle calls.
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
        start: (D,), within the bounds; the solution is not worse.
        bounds: of w.
        cuts: initial cuts; new ones are added, which gives a warm start for another v.
        tolerance: stop at a gap of tolerance * C (so it is in units of P).
        calls: maximum number of oracle calls.
        patience: cuts that are not binding for more than this number of quadratic programs are
            dropped; the oracle returns them again if they are needed.
        report: called with the objective and the gap after every oracle call.

    Raises:
        SolverError: the solver failed on the first quadratic program.  If it fails later, the
            solution so far is returned.
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
            step = max(_MIN_STEP, step / 2)
        try:
            optimum, bound, binding = solve_model(cuts, v, c, bounds, len(values))
        except SolverError:
            if np.isinf(lower):
                raise
            break
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
    """The quadratic program in which the cuts replace P.

    min 1/2 |w|^2 + c (sum_g xi_g - v.w)  subject to  slope.w + offset <= xi_group  for all cuts.

    Returns:
        w (D,), the optimum, and a mask of the binding cuts.

    Raises:
        SolverError: the solver failed.
    """
    slopes, offsets = np.array(cuts.slopes), np.array(cuts.offsets)
    count, size = slopes.shape
    # xi is divided by its scale, which keeps the numbers of the solver near 1 for any c.
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
        raise SolverError(f"the quadratic program was not solved: {solution.status}")
    multipliers = np.array(solution.z[:count])
    binding = multipliers > 1e-6 * max(c * scale, 1e-12)
    w = np.clip(np.array(solution.x[:size]), bounds.lower, bounds.upper)
    return w, float(min(solution.obj_val, solution.obj_val_dual)), binding
