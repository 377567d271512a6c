"""Fewer triangles: collapse edges that a depth camera cannot resolve."""

import numpy as np
from numpy.typing import NDArray


def collapse(
    vertices: NDArray[np.floating], faces: NDArray[np.int32], length: float, rounds: int = 30
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Collapse edges shorter than ``length`` onto one of their own ends.

    No vertex moves, so that the same choice serves every pose of one mesh.

    Args:
        vertices: (V, 3) metres, in the pose that edges are measured in.
        faces: (F, 3).
        length: metres.
        rounds: at most so many sweeps; each collapses the edges that are the shortest at both ends.

    Returns:
        (W,) indices of the vertices that remain, and (G, 3) faces among these W.
    """
    target = np.arange(len(vertices))
    now = faces.astype(np.int64)
    for _ in range(rounds):
        ends = np.concatenate((now[:, [0, 1]], now[:, [1, 2]], now[:, [2, 0]]))
        edges = np.unique(np.sort(ends, axis=1), axis=0)
        size = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
        edges = edges[size < length][np.argsort(size[size < length], kind="stable")]
        if len(edges) == 0:
            break
        # The first edge in order at each vertex is its shortest.
        rank = np.full(len(vertices), len(edges))
        np.minimum.at(rank, edges.ravel(), np.repeat(np.arange(len(edges)), 2))
        order = np.arange(len(edges))
        chosen = (rank[edges[:, 0]] == order) & (rank[edges[:, 1]] == order)
        step = np.arange(len(vertices))
        step[edges[chosen, 1]] = edges[chosen, 0]
        target = step[target]
        now = step[now]
        whole = (now[:, 0] != now[:, 1]) & (now[:, 1] != now[:, 2]) & (now[:, 2] != now[:, 0])
        now = now[whole]
    kept = np.unique(now)
    index = np.zeros(len(vertices), dtype=np.int32)
    index[kept] = np.arange(len(kept))
    return kept, index[now]
