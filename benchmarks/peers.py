"""Times of other methods' networks, on the backend that the estimator has here."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.peer_networks import A2J, ChenYuille, DeepPose, Tompson
from benchmarks.settings import Settings
from benchmarks.timing import measure
from depth_pose_ros.core.backends.backend import choose_backend

_INPUTS = {
    "DeepPose": (DeepPose, (1, 1, 220, 220)),
    "Tompson et al.": (Tompson, (1, 1, 256, 256)),
    "Chen and Yuille": (ChenYuille, (1, 1, 216, 176)),
    "A2J": (A2J, (1, 1, 288, 288)),
}


def run(settings: Settings) -> dict[str, Any]:
    """Milliseconds per person of each."""
    torch.manual_seed(0)
    backend = choose_backend(settings.backend, torch.device("cpu"), False)
    result: dict[str, Any] = {"backend": backend.removesuffix("-int8")}
    for name, (make, shape) in _INPUTS.items():
        module: nn.Module = make().eval()
        work = _compiled(module, shape, settings, backend)
        with torch.inference_mode():
            result[name] = measure(work, settings.seconds, least=2)
    return result


def _compiled(
    module: nn.Module, shape: tuple[int, ...], settings: Settings, backend: str
) -> Callable[[], Any]:
    example = torch.rand(shape)
    if backend == "torch":
        torch.set_num_threads(settings.threads)
        return lambda: module(example)
    from depth_pose_ros.core.backends.openvino_models import CompiledModel
    from depth_pose_ros.core.backends.openvino_models import convert

    program, array = CompiledModel(convert(module, shape), settings.threads), example.numpy()
    return lambda: program(array)
