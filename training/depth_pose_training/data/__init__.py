"""Labelled depth images: shards, augmentation, datasets, the synthetic generator."""

from collections.abc import Sized

import numpy as np
from numpy.typing import NDArray


def evenly_spaced(data: Sized, limit: int | None, floor: bool = False) -> NDArray[np.int64]:
    """Indices of at most ``limit`` evenly spaced items.

    Args:
        data: a sequence.
        limit: maximum number of indices; None for all.
        floor: round positions down instead of to the nearest index.

    Raises:
        ValueError: ``limit`` is less than 1.
    """
    if limit is None or limit >= len(data):
        return np.arange(len(data))
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    positions = np.linspace(0, len(data) - 1, limit)
    return (np.floor(positions) if floor else np.rint(positions)).astype(np.int64)
