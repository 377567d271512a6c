"""The structural SVM, CCCP, and the CRF."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from depth_pose_ros.core.models.tree_inference import max_sum
from depth_pose_ros.core.skeleton import EDGES, INDEX, NUM_JOINTS
from depth_pose_training.learning.boxes import box_iou, consistent, match_labels
from depth_pose_training.structured import crf
from depth_pose_training.structured.cccp import best_length, cccp, objective
from depth_pose_training.structured.structural_svm import Bounds, Cuts, minimize, solve_model
from depth_pose_training.structured.tree_data import TreeData
from depth_pose_training.structured.tree_problem import (
    TreeProblem,
    TreeWeights,
    configuration_loss,
    feature_sum,
    tree_terms,
)
from training_helpers.tree_problems import ambiguous, start_of

FREE = Bounds(np.full(6, -np.inf), np.full(6, np.inf))


class Pieces:
    """P = sum of maxima of known linear functions."""

    def __init__(self, seed: int, groups: int = 8, pieces: int = 5, size: int = 6) -> None:
        rng = np.random.default_rng(seed)
        self.slopes = rng.normal(size=(groups, pieces, size))
        self.offsets = rng.normal(size=(groups, pieces))

    def __call__(self, w):
        values = self.slopes @ w + self.offsets
        best = values.argmax(1)
        return values.max(1), self.slopes[np.arange(len(best)), best]


@pytest.mark.parametrize(("c", "expected"), [(0.3, 0.3), (5.0, 1.0)])
def test_hinge_in_one_dimension_has_the_known_optimum(c: float, expected: float) -> None:
    def hinge(w):  # max(0, 1 - w)
        short = w[0] < 1
        return np.array([max(0.0, 1 - w[0])]), np.array([[-1.0 if short else 0.0]])

    free = Bounds(np.array([-np.inf]), np.array([np.inf]))
    solution = minimize(hinge, np.zeros(1), c, np.zeros(1), free, Cuts(), tolerance=1e-8)
    assert solution.w[0] == pytest.approx(expected, abs=1e-4)
    assert solution.objective == pytest.approx(0.5 * expected**2 + c * (1 - expected), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_cutting_planes_reach_the_optimum_of_the_full_quadratic_program(seed: int) -> None:
    pieces, v = Pieces(seed), np.random.default_rng(seed + 10).normal(size=6)
    bounds = Bounds(FREE.lower, np.where(np.arange(6) % 2, 0.0, np.inf))
    whole = Cuts()
    for g in range(8):
        for slope, offset in zip(pieces.slopes[g], pieces.offsets[g], strict=True):
            whole.slopes.append(slope)
            whole.offsets.append(float(offset))
            whole.groups.append(g)
            whole.idle.append(0)
    w, optimum, _ = solve_model(whole, v, 0.7, bounds, 8)
    found = minimize(pieces, v, 0.7, np.zeros(6), bounds, Cuts(), tolerance=1e-8)
    assert found.objective == pytest.approx(optimum, abs=1e-6)
    assert np.allclose(found.w, w, atol=1e-3)
    assert (found.w[1::2] <= 0).all()
    assert (w[1::2] > -1e-6).any()  # a bound is active


def test_solution_is_a_local_minimum() -> None:
    pieces, v = Pieces(3), np.ones(6)
    found = minimize(pieces, v, 0.5, np.zeros(6), FREE, Cuts(), tolerance=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(200):
        w = found.w + rng.normal(0, 0.05, 6)
        assert 0.5 * w @ w + 0.5 * (pieces(w)[0].sum() - v @ w) >= found.objective - 1e-9


def test_gap_decreases_and_bounds_the_distance_to_the_optimum() -> None:
    pieces, v, gaps, values = Pieces(4), np.zeros(6), [], []

    def report(value: float, gap: float) -> None:
        values.append(value)
        gaps.append(gap)

    minimize(pieces, v, 1.0, np.ones(6), FREE, Cuts(), tolerance=1e-9, report=report)
    optimum = values[-1]
    assert all(value - gap <= optimum + 1e-6 for value, gap in zip(values, gaps, strict=True))
    assert all(a >= b - 1e-9 for a, b in pairwise(gaps))
    assert gaps[-1] < 1e-6


def test_dropping_idle_cuts_does_not_change_the_optimum() -> None:
    pieces, v = Pieces(5, groups=12, pieces=20), np.zeros(6)
    free = minimize(pieces, v, 1.0, np.zeros(6), FREE, Cuts(), tolerance=1e-7, patience=999)
    cuts = Cuts()
    few = minimize(pieces, v, 1.0, np.zeros(6), FREE, cuts, tolerance=1e-7, patience=3)
    assert few.objective == pytest.approx(free.objective, abs=1e-5)
    assert len(cuts.offsets) < 12 * few.calls


def test_box_iou_equals_counted_pixels() -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(300), np.arange(300)), -1) / 10 - 10 + 0.05
    for a, b in rng.uniform(0, 10, (20, 2, 2)):
        first, second = (np.abs(grid - c).max(-1) < 5 for c in (a, b))
        counted = (first & second).sum() / (first | second).sum()
        assert float(box_iou(torch.tensor(a), torch.tensor(b))) == pytest.approx(counted, abs=0.02)


def test_consistent_proposals_are_matches_or_nearest_or_all() -> None:
    grid = torch.tensor([(x, y) for y in range(5) for x in range(5)]) * 3
    pixels = grid.expand(1, 4, 25, 2)
    truth = torch.tensor([[[6.0, 6.0], [18.0, 6.0], [40.0, 40.0], [6.0, 6.0]]])
    allowed, supervised = consistent(pixels, truth, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    assert torch.equal(allowed[:, 0], match_labels(pixels, truth)[:, 0])
    assert allowed[0, 0].sum() == 5  # 3 px off along one axis: IoU 0.54; along both: 0.32
    assert allowed[0, 1].nonzero().tolist() == [[14]]  # (12, 6): overlaps without a match
    assert allowed[0, 2:].all()
    assert supervised.tolist() == [[True, True, False, False]]


def share_right(data: TreeData, weights: TreeWeights) -> float:
    choice = max_sum(*tree_terms(data, weights), EDGES)[1]
    return float(data.allowed.gather(2, choice[..., None])[..., 0].all(1).float().mean())


def test_features_times_weights_equal_the_score() -> None:
    data, generator = ambiguous(6, 0), torch.Generator().manual_seed(1)
    flat = torch.randn(NUM_JOINTS + 108, generator=generator)
    choice = torch.randint(4, (6, NUM_JOINTS), generator=generator)
    unary, pair = tree_terms(data, TreeWeights.of(flat))
    score = unary.gather(2, choice[..., None]).sum((1, 2))
    for e, (parent, child) in enumerate(EDGES):
        score = score + pair[torch.arange(6), e, choice[:, parent], choice[:, child]]
    assert torch.allclose(feature_sum(data, choice) @ flat, score, atol=1e-4)


def test_augmented_and_completed_return_maxima_and_subgradients() -> None:
    data = ambiguous(10, 1)
    problem = TreeProblem(data, tau=0.2, clip=True, groups=3)
    rng = np.random.default_rng(0)
    w = rng.normal(size=len(problem.scale))
    loss = configuration_loss(data, 0.2, clip=True)
    values, slopes = problem.augmented(w)
    completed, slope = problem.completed(w)
    assert values.shape == (3,)
    assert completed == pytest.approx(slope @ w, abs=1e-9)
    for _ in range(50):
        choice = torch.from_numpy(rng.integers(0, 4, (10, NUM_JOINTS)))
        score = (feature_sum(data, choice).double().numpy() / problem.scale) @ w
        h = loss.gather(2, choice[..., None]).sum((1, 2)).numpy()
        assert (score + h).mean() <= values.sum() + 1e-9
        other = rng.normal(size=len(w))
        assert (
            problem.augmented(other)[0].sum() >= values.sum() + slopes.sum(0) @ (other - w) - 1e-6
        )
        assert problem.completed(other)[0] >= completed + slope @ (other - w) - 1e-6


def test_decomposable_loss_is_an_upper_bound_of_eqn_8() -> None:
    data, tau = ambiguous(20, 2), 0.2
    choice = torch.randint(4, (20, NUM_JOINTS), generator=torch.Generator().manual_seed(0))
    at = data.pixels.gather(2, choice[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    mean_squared = ((at - data.truth_pixels) / 10).square().sum(-1).mean(1)
    printed = (mean_squared > tau).float()
    for clip, minimum in ((False, printed), (True, torch.zeros(20))):
        loss = configuration_loss(data, tau, clip).gather(2, choice[..., None]).sum((1, 2))
        assert (loss >= minimum - 1e-6).all()
    assert (loss <= 1 + 1e-6).all()


def test_cccp_does_not_increase_the_objective_of_eqn_9() -> None:
    data = ambiguous(30, 3)
    problem = TreeProblem(data, tau=0.2, clip=False, groups=5)
    c, entries = 20.0, []
    start = problem.scaled(start_of(data)) + np.random.default_rng(0).normal(
        0, 0.1, len(problem.scale)
    )
    result = cccp(problem, c, start, rounds=3, tolerance=1e-3, report=entries.append)

    def value(w):
        return 0.5 * w @ w + c * (problem.augmented(w)[0].sum() - problem.completed(w)[0])

    first = np.clip(start, problem.bounds.lower, problem.bounds.upper)
    assert result.objectives[0] == pytest.approx(value(first), rel=1e-6)
    assert result.objectives[-1] == pytest.approx(value(result.w), rel=1e-6)
    assert all(b <= a + 1e-9 for a, b in pairwise(result.objectives))
    assert result.objectives[-1] < 0.5 * result.objectives[0]
    assert any("gap" in entry for entry in entries)


def test_best_length_scales_w_and_lowers_the_objective() -> None:
    problem = TreeProblem(ambiguous(20, 3), tau=0.2, clip=True)
    start = 100 * problem.scaled(start_of(ambiguous(1, 0)))
    found = best_length(problem, 20.0, start)
    ratio = (found @ start) / (start @ start)
    assert np.allclose(found, ratio * start)
    assert objective(problem, 20.0, found) < objective(problem, 20.0, start)


def without_pairwise(weights: TreeWeights) -> TreeWeights:
    return TreeWeights(weights.unary, torch.zeros_like(weights.gamma))


def test_pairwise_terms_resolve_ambiguous_appearance() -> None:
    data, held_out = ambiguous(60, 4), ambiguous(200, 5)
    problem = TreeProblem(data, tau=0.2, clip=True)
    result = cccp(problem, 60.0, problem.scaled(start_of(data)), rounds=2, tolerance=1e-2)
    full = problem.unscaled(result.w)

    # The same learner without pairwise terms.
    flat = replace(data, points=torch.zeros_like(data.points), anchors=0 * data.anchors)
    alone = TreeProblem(flat, tau=0.2, clip=True)
    unary = alone.unscaled(
        cccp(alone, 60.0, alone.scaled(start_of(data)), rounds=2, tolerance=1e-2).w
    )

    assert share_right(held_out, full) > 0.97
    assert share_right(held_out, without_pairwise(unary)) < 0.7
    assert problem.wrong(result.w) < 0.03
    assert (full.gamma[:, 1::2] <= 0).all()


@pytest.mark.parametrize("objective", ["likelihood", "expectation"])
def test_crf_resolves_ambiguous_appearance(objective: crf.Objective) -> None:
    data, held_out = ambiguous(60, 4), ambiguous(200, 5)
    losses: list[float] = []
    settings = crf.CrfSettings(objective, steps=150, rate=0.2, decay=1e-4)
    weights = crf.fit(data, start_of(data), settings, lambda entry: losses.append(entry["loss"]))
    assert losses[-1] < 0.5 * losses[0]
    assert share_right(held_out, weights) > 0.97
    assert (weights.gamma[:, 1::2] <= 0).all()


def test_likelihood_equals_enumeration_of_all_configurations() -> None:
    data = ambiguous(3, 6)
    # Only parts near the hand have several proposals: few configurations.
    flat = 0.5 * torch.randn(NUM_JOINTS + 108, generator=torch.Generator().manual_seed(2))
    unary, pair = tree_terms(data, TreeWeights.of(flat))
    free = [INDEX[k] for k in ("RightElbow", "RightWrist", "RightHand")]
    fixed = [k for k in range(NUM_JOINTS) if k not in free]
    unary[:, fixed, 1:] = -torch.inf
    allowed = data.allowed.clone()
    allowed[:, fixed] = True
    data = replace(data, allowed=allowed)
    total, agreeing = torch.zeros(3), torch.zeros(3)
    for index in range(4 ** len(free)):
        choice = torch.zeros(3, NUM_JOINTS, dtype=torch.long)
        for digit, part in enumerate(free):
            choice[:, part] = index // 4**digit % 4
        score = feature_sum(data, choice) @ flat
        total += score.exp()
        agreeing += score.exp() * allowed.gather(2, choice[..., None])[..., 0].all(1)
    expected = -(agreeing / total).log() / data.supervised.sum(1)
    found = crf.negative_log_likelihood(data, unary, pair)
    assert torch.allclose(found, expected, atol=1e-4)


def test_unknown_objective_is_an_error() -> None:
    with pytest.raises(ValueError, match="objective must be one of"):
        crf.CrfSettings("best")  # type: ignore[arg-type]
