"""Cached index tensors of parts and edges."""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def index_on(device: torch.device, indices: tuple[int, ...]) -> Tensor:
    """(len,) int64 on a device; cached, to avoid a copy to the GPU per call."""
    with torch.inference_mode(False):  # usable in training, too
        return torch.tensor(indices, device=device)
