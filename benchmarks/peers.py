"""Times of other methods' networks, on the backend that the estimator has here."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.peer_networks import A2J, ChenYuille, DeepPose, Tompson
from benchmarks.settings import Settings
from benchmarks.timing import interleave
from depth_pose_ros.core.backends.backend import choose_backend

_INPUTS = {
    "DeepPose": (DeepPose, (1, 1, 220, 220)),
    "Tompson et al.": (Tompson, (1, 1, 256, 256)),
    "Chen and Yuille": (ChenYuille, (1, 1, 216, 176)),
    "A2J": (A2J, (1, 1, 288, 288)),
}


def run(settings: Settings) -> dict[str, Any]:
    """Milliseconds per person of each network."""
    torch.manual_seed(0)
    backend = choose_backend(settings.backend, torch.device("cpu"))
    torch.set_num_threads(settings.threads)
    works = {
        name: _runner(make().eval(), shape, settings.threads, backend)
        for name, (make, shape) in _INPUTS.items()
    }
    with torch.inference_mode():
        times = interleave(works, settings.seconds, min_runs=2)
    return {"backend": backend.removesuffix("-int8"), **times}


def _runner(
    module: nn.Module, shape: tuple[int, ...], threads: int, backend: str
) -> Callable[[], Any]:
    example = torch.rand(shape)
    if backend == "torch":
        return partial(module, example)
    from depth_pose_ros.core.backends.openvino_models import CompiledModel, convert

    return partial(CompiledModel(convert(module, shape), threads), example.numpy())
