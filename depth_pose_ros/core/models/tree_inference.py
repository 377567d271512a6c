"""Exact inference over a tree of parts by dynamic programming (Sect. 3.2, Eqn. 5).

Scores are F = sum_k U[k, g_k] + sum_e R[e, g_parent(e), g_child(e)] of a configuration g, one
proposal per part.  Messages run from the leaves to the root; all edges whose children are equally
deep in the tree are computed at once, for the whole batch.  A proposal with a unary of -inf
does not exist, so that parts with fewer proposals can share a tensor.  For loss-augmented
inference, add each proposal's loss to the unary.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from depth_pose_ros.core.models.indices import index_on

#: (parent, child) by part index; :data:`depth_pose_ros.core.skeleton.EDGES` is one.
Tree = Sequence[tuple[int, int]]
#: All edges' terms (B, E, n, n), proposal of the parent before proposal of the child; or a
#: function that gives the terms (B, e, n, n) of the e edges it is asked for, in a tensor that may
#: be overwritten: made when needed, they are still in the processor's cache when they are used.
Pairwise = Tensor | Callable[[Tensor], Tensor]

#: Stands in for a logarithm of nothing: finite, so that gradients stay so.
_IMPOSSIBLE = -1e30


class Level(NamedTuple):
    """The edges whose children are equally deep."""

    edges: tuple[int, ...]
    parents: tuple[int, ...]
    children: tuple[int, ...]


def max_sum(unary: Tensor, pairwise: Pairwise, tree: Tree) -> tuple[Tensor, Tensor]:
    """The best configuration and its score.

    Args:
        unary: (B, K, n); -inf where a part has no such proposal (every part needs one).
        pairwise: (B, E, n, n) or a function of edges, see :data:`Pairwise`.
        tree: its E = K - 1 edges, in any order and numbering.

    Returns:
        score (B,), through which gradients reach the chosen terms; choice (B, K) int64.

    Raises:
        ValueError: the edges are not a tree over the K parts.
    """
    levels, root = schedule(tree, unary.shape[1])
    belief = unary
    kept: list[Tensor] = []
    for level in levels:
        terms = _plus_children(_terms(pairwise, level.edges, unary), belief, level)
        kept.append(terms)
        belief = belief.index_add(1, index_on(unary.device, level.parents), terms.amax(-1))
    score, at_root = belief[:, root].max(-1)

    # Only the chosen parents' rows are searched for their best child: an index along with every
    # maximum on the way up would cost more than all the rest.
    choice = torch.empty(unary.shape[:2], dtype=torch.long, device=unary.device)
    choice[:, root] = at_root
    for level, terms in zip(reversed(levels), reversed(kept), strict=True):
        at_parent = choice.index_select(1, index_on(unary.device, level.parents))
        rows = at_parent[..., None, None].expand(-1, -1, 1, terms.shape[-1])
        best = terms.detach().gather(2, rows)[..., 0, :].argmax(-1)
        choice.index_copy_(1, index_on(unary.device, level.children), best)
    return score, choice


def sum_product(
    unary: Tensor, pairwise: Pairwise, tree: Tree, temperature: Tensor | float = 1.0
) -> tuple[Tensor, Tensor]:
    """Log partition function and marginals of p(g) ~ exp(F(g) / temperature).

    Args:
        unary, pairwise, tree: as of :func:`max_sum`.
        temperature: towards 0, p is all on the best configuration.

    Returns:
        log_partition (B,); marginals (B, K, n), each part's summing to 1.

    Raises:
        ValueError: the edges are not a tree over the K parts.
    """
    levels, root = schedule(tree, unary.shape[1])
    plain = isinstance(temperature, float) and temperature == 1.0
    belief = unary if plain else unary / temperature
    kept: list[tuple[Tensor, Tensor]] = []
    for level in levels:
        terms = _terms(pairwise, level.edges, unary)
        terms = _plus_children(terms if plain else terms / temperature, belief, level)
        peak = terms.detach().amax(-1, keepdim=True).clamp_(min=_IMPOSSIBLE)
        likelihood = terms.sub_(peak).exp_()
        # At least 1, from the peak itself, unless no child proposal is allowed with the parent's.
        total = likelihood.sum(-1, keepdim=True).clamp(min=1.0)
        kept.append((likelihood, total))
        message = (total.log() + peak)[..., 0]
        belief = belief.index_add(1, index_on(unary.device, level.parents), message)
    log_partition = belief[:, root].logsumexp(-1)

    # Downwards: given its parent, a child depends on nothing else above it, so its marginal is
    # sum_i p(parent = i) p(child | parent = i), and the latter is known from the way up.
    marginals = torch.zeros_like(unary)
    at_root = belief[:, root].softmax(-1)[:, None]
    marginals = marginals.index_copy(1, index_on(unary.device, (root,)), at_root)
    for level, (likelihood, total) in zip(reversed(levels), reversed(kept), strict=True):
        at_parent = marginals.index_select(1, index_on(unary.device, level.parents))
        of_child = ((at_parent / total[..., 0])[..., None, :] @ likelihood)[..., 0, :]
        marginals = marginals.index_copy(1, index_on(unary.device, level.children), of_child)
    return log_partition, marginals


def configuration_terms(
    unary: Tensor, pairwise: Tensor, tree: Tree, choice: Tensor
) -> tuple[Tensor, Tensor]:
    """The terms of a given configuration; differentiable, their sum is its score.

    Args:
        unary: (B, K, n).
        pairwise: (B, E, n, n).
        tree: the E edges.
        choice: (B, K) int64.

    Returns:
        (B, K) unary and (B, E) pairwise terms.
    """
    parents, children = ([edge[i] for edge in tree] for i in (0, 1))
    n = pairwise.shape[-1]
    pair = choice[:, parents] * n + choice[:, children]
    return (
        unary.gather(2, choice[..., None])[..., 0],
        pairwise.flatten(2).gather(2, pair[..., None])[..., 0],
    )


def _terms(pairwise: Pairwise, edges: tuple[int, ...], like: Tensor) -> Tensor:
    index = index_on(like.device, edges)
    return pairwise.index_select(1, index) if isinstance(pairwise, Tensor) else pairwise(index)


def _plus_children(terms: Tensor, belief: Tensor, level: Level) -> Tensor:
    """Overwrites the (B, e, n, n) terms with their sums with the children's beliefs."""
    return terms.add_(belief.index_select(1, index_on(belief.device, level.children))[:, :, None])


def schedule(tree: Tree, parts: int) -> tuple[list[Level], int]:
    """The tree's levels, deepest first, and its root.

    Raises:
        ValueError: the edges are not a tree over the parts.
    """
    return _schedule(tuple((edge[0], edge[1]) for edge in tree), parts)


@lru_cache(maxsize=64)
def _schedule(tree: tuple[tuple[int, int], ...], parts: int) -> tuple[list[Level], int]:
    error = ValueError(f"the edges {tree} are not a tree over {parts} parts")
    roots = set(range(parts)) - {child for _, child in tree}
    if len(tree) != parts - 1 or len(roots) != 1:
        raise error
    (root,) = roots
    levels: list[Level] = []
    reached = {root}
    while len(reached) < parts:
        edges = [e for e, (p, c) in enumerate(tree) if p in reached and c not in reached]
        level = Level(
            tuple(edges), tuple(tree[e][0] for e in edges), tuple(tree[e][1] for e in edges)
        )
        if not edges or not set(level.children) <= set(range(parts)):
            raise error
        reached |= set(level.children)
        levels.append(level)
    return levels[::-1], root
