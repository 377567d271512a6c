"""Lists of parts and edges as index tensors, kept for the next call."""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
def index_on(device: torch.device, indices: tuple[int, ...]) -> Tensor:
    """(len,) int64 on a device; a GPU would have to wait for a new one to be copied every time."""
    with torch.inference_mode(False):  # else it could not be used in training
        return torch.tensor(indices, device=device)
