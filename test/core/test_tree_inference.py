"""Inference over the tree: against all configurations written out."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from depth_pose_ros.core.models.tree_inference import configuration_terms, max_sum, sum_product
from depth_pose_ros.core.skeleton import EDGES

Edges = list[tuple[int, int]]


@st.composite
def trees(draw: st.DrawFn) -> Edges:
    """Random trees over 1 to 5 parts, numbered and ordered at random."""
    parts = draw(st.integers(1, 5))
    names = draw(st.permutations(range(parts)))
    edges = [(names[draw(st.integers(0, c - 1))], names[c]) for c in range(1, parts)]
    return list(draw(st.permutations(edges)))


def _terms(tree: Edges, n: int, seed: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    unary = torch.randn(batch, len(tree) + 1, n, generator=generator, dtype=torch.float64)
    pairwise = torch.randn(batch, len(tree), n, n, generator=generator, dtype=torch.float64)
    return unary, pairwise


def _all_scores(unary: Tensor, pairwise: Tensor, tree: Edges) -> dict[tuple[int, ...], Tensor]:
    """The score of every configuration of one image."""
    parts, n = unary.shape
    scores = {}
    for g in product(range(n), repeat=parts):
        score = sum((unary[k, g[k]] for k in range(parts)), torch.zeros((), dtype=unary.dtype))
        for e, (p, c) in enumerate(tree):
            score = score + pairwise[e, g[p], g[c]]
        scores[g] = score
    return scores


@settings(max_examples=40, deadline=None)
@given(tree=trees(), n=st.integers(1, 4), seed=st.integers(0, 2**20))
def test_max_sum_against_brute_force(tree: Edges, n: int, seed: int) -> None:
    unary, pairwise = _terms(tree, n, seed)
    score, choice = max_sum(unary, pairwise, tree)
    for b in range(2):
        scores = _all_scores(unary[b], pairwise[b], tree)
        best = max(scores, key=lambda g: float(scores[g]))
        assert choice[b].tolist() == list(best)
        assert torch.isclose(score[b], scores[best])


@settings(max_examples=40, deadline=None)
@given(tree=trees(), n=st.integers(1, 4), seed=st.integers(0, 2**20), temperature=st.floats(0.2, 5))
def test_sum_product_against_brute_force(
    tree: Edges, n: int, seed: int, temperature: float
) -> None:
    unary, pairwise = _terms(tree, n, seed)
    log_partition, marginals = sum_product(unary, pairwise, tree, temperature)
    for b in range(2):
        scores = _all_scores(unary[b], pairwise[b], tree)
        weights = torch.stack(list(scores.values())).div(temperature).exp()
        assert torch.isclose(log_partition[b], weights.sum().log())
        naive = torch.zeros_like(unary[b])
        for g, weight in zip(scores, weights / weights.sum(), strict=True):
            for k, i in enumerate(g):
                naive[k, i] += weight
        assert torch.allclose(marginals[b], naive)


@settings(max_examples=30, deadline=None)
@given(
    tree=trees(), counts=st.lists(st.integers(1, 4), min_size=5, max_size=5), seed=st.integers(0, 9)
)
def test_parts_may_have_fewer_proposals(tree: Edges, counts: list[int], seed: int) -> None:
    """Proposals masked by -inf do not exist."""
    n = 4
    unary, pairwise = _terms(tree, n, seed, batch=1)
    for k in range(unary.shape[1]):
        unary[:, k, counts[k] :] = -torch.inf
    score, choice = max_sum(unary, pairwise, tree)
    log_partition, marginals = sum_product(unary, pairwise, tree)
    scores = {
        g: s for g, s in _all_scores(unary[0], pairwise[0], tree).items() if torch.isfinite(s)
    }
    best = max(scores, key=lambda g: float(scores[g]))
    assert choice[0].tolist() == list(best)
    assert torch.isclose(score[0], scores[best])
    assert torch.isclose(log_partition[0], torch.stack(list(scores.values())).logsumexp(0))
    assert torch.isfinite(marginals).all()
    for k in range(unary.shape[1]):
        assert (marginals[0, k, counts[k] :] == 0).all()


def test_impossible_pairs_are_never_chosen() -> None:
    """-inf may also forbid pairs, even all children of a parent's proposal."""
    tree: Edges = [(0, 1), (1, 2)]
    unary, pairwise = _terms(tree, 3, seed=3, batch=1)
    pairwise[0, 0, 1] = -torch.inf
    pairwise[0, 1, 0, 2] = -torch.inf
    scores = {
        g: s for g, s in _all_scores(unary[0], pairwise[0], tree).items() if torch.isfinite(s)
    }
    unary.requires_grad_()
    _, choice = max_sum(unary, pairwise, tree)
    log_partition, marginals = sum_product(unary, pairwise, tree)
    assert tuple(choice[0].tolist()) == max(scores, key=lambda g: float(scores[g]))
    assert torch.isclose(log_partition[0], torch.stack(list(scores.values())).logsumexp(0))
    assert marginals[0, 0, 1] == 0
    for value in (log_partition.sum(), marginals.square().sum()):
        (grad,) = torch.autograd.grad(value, unary, retain_graph=True)
        assert torch.isfinite(grad).all()


def test_batch_equals_loop() -> None:
    unary, pairwise = _terms(list(EDGES), 13, seed=0, batch=4)
    score, choice = max_sum(unary, pairwise, EDGES)
    log_partition, marginals = sum_product(unary, pairwise, EDGES, 0.7)
    for b in range(4):
        one = slice(b, b + 1)
        looped_score, looped_choice = max_sum(unary[one], pairwise[one], EDGES)
        assert torch.equal(looped_choice[0], choice[b])
        assert torch.isclose(looped_score[0], score[b])
        looped_partition, looped_marginals = sum_product(unary[one], pairwise[one], EDGES, 0.7)
        assert torch.isclose(looped_partition[0], log_partition[b])
        assert torch.allclose(looped_marginals[0], marginals[b])


def test_lazy_pairwise_terms() -> None:
    unary, pairwise = _terms(list(EDGES), 7, seed=1)
    asked: list[int] = []

    def make(edges: Tensor) -> Tensor:
        asked.extend(edges.tolist())
        return pairwise[:, edges]

    score, choice = max_sum(unary, make, EDGES)
    assert sorted(asked) == list(range(len(EDGES)))
    expected_score, expected_choice = max_sum(unary, pairwise, EDGES)
    assert torch.equal(score, expected_score)
    assert torch.equal(choice, expected_choice)


def test_score_and_gradients_equal_the_sum_of_chosen_terms() -> None:
    unary, pairwise = (t.requires_grad_() for t in _terms(list(EDGES), 6, seed=2))
    score, choice = max_sum(unary, pairwise, EDGES)
    of_parts, of_edges = configuration_terms(unary, pairwise, EDGES, choice)
    gathered = of_parts.sum(1) + of_edges.sum(1)
    assert torch.allclose(score, gathered)
    for a, b in zip(
        torch.autograd.grad(score.sum(), (unary, pairwise)),
        torch.autograd.grad(gathered.sum(), (unary, pairwise)),
        strict=True,
    ):
        assert torch.equal(a, b)
        assert a.sum() == 2 * a.shape[1]  # one term per part or edge, for two images


def test_gradcheck() -> None:
    tree: Edges = [(0, 1), (1, 2), (1, 3)]
    terms = tuple(t.requires_grad_() for t in _terms(tree, 3, seed=4))
    assert torch.autograd.gradcheck(lambda u, r: max_sum(u, r, tree)[0], terms)
    assert torch.autograd.gradcheck(lambda u, r: sum_product(u, r, tree, 0.8), terms)


def test_marginals_are_the_log_partitions_gradient() -> None:
    unary, pairwise = _terms(list(EDGES), 5, seed=5)
    unary.requires_grad_()
    log_partition, marginals = sum_product(unary, pairwise, EDGES)
    (grad,) = torch.autograd.grad(log_partition.sum(), unary)
    assert torch.allclose(grad, marginals)


def test_marginals_at_low_temperature_are_the_maximum() -> None:
    unary, pairwise = _terms(list(EDGES), 5, seed=6)
    _, choice = max_sum(unary, pairwise, EDGES)
    _, marginals = sum_product(unary, pairwise, EDGES, 1e-3)
    assert torch.equal(marginals.argmax(-1), choice)
    assert marginals.amax(-1).min() > 0.99


def test_loss_augmented_inference_against_brute_force() -> None:
    tree: Edges = [(0, 1), (0, 2)]
    unary, pairwise = _terms(tree, 4, seed=7, batch=1)
    loss = torch.rand(1, 3, 4, dtype=torch.float64) * 3
    _, choice = max_sum(unary + loss, pairwise, tree)
    scores = _all_scores(unary[0], pairwise[0], tree)
    augmented = {g: s + sum(loss[0, k, i] for k, i in enumerate(g)) for g, s in scores.items()}
    assert tuple(choice[0].tolist()) == max(augmented, key=lambda g: float(augmented[g]))


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param([(0, 1)], id="a part without an edge"),
        pytest.param([(0, 1), (2, 1)], id="two parents"),
        pytest.param([(1, 2), (2, 1)], id="a ring"),
        pytest.param([(0, 1), (0, 3)], id="no such child"),
        pytest.param([(0, 1), (7, 2)], id="no such parent"),
    ],
)
def test_non_trees_are_refused(tree: Edges) -> None:
    with pytest.raises(ValueError, match="not a tree over 3 parts"):
        max_sum(torch.zeros(1, 3, 2), torch.zeros(1, len(tree), 2, 2), tree)
