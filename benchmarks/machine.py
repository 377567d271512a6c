"""The machine, and the lower bound of the FCNs' times at its arithmetic rate."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from benchmarks.settings import Settings
from benchmarks.timing import measure
from depth_pose_ros.core.models import config as configs
from depth_pose_ros.core.models.fcn import build_fcn

_SIZE = 1024  # of the matrices


def multiply_adds(module: torch.nn.Module, *inputs: torch.Tensor) -> float:
    """Multiply-adds of the module's convolutions and linear layers on these inputs."""
    total = 0.0

    def count(layer: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, torch.nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, torch.nn.Linear):
            total += output.numel() * layer.in_features

    layers = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return total


def run(settings: Settings) -> dict[str, Any]:
    """Processor, matrix-product rate, and the FCNs' arithmetic at that rate."""
    torch.set_num_threads(settings.threads)
    a = torch.rand(_SIZE, _SIZE)
    time = measure(lambda: a @ a, settings.seconds)
    rate = 2 * _SIZE**3 / time["p50"] / 1e6  # from milliseconds to Gflop/s
    crop = torch.zeros(1, 1, 216, 176)
    floors = {}
    for config in (configs.paper(), configs.compact()):
        fcn = build_fcn(config)
        floors[config.name] = round(2 * multiply_adds(fcn.eval(), crop) / rate / 1e6, 3)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "matrix_gflops": round(rate, 1),
        "fcn_floor_ms": floors,
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
