"""3 x 3 convolutions with fewer multiplications, for training on processors.

Winograd's F(4 x 4, 3 x 3) takes 36 multiplications where convolution takes 144 (Lavin and Gray,
CVPR 2016); torch has it on GPUs only.  ``winograd.cpp`` is compiled when it is first used, for the
machine that it is used on.  Without a C++ compiler torch's own convolutions stay.
"""

import ctypes
import hashlib
import logging
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from depth_pose_ros.core.backends.native.binding import cpu_features

_SOURCE = Path(__file__).with_suffix(".cpp")
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-ffast-math", "-fno-exceptions", "-Wno-psabi")
_PANEL = 16  # as in winograd.cpp
_STEP = 4
_POINTS = 36
_G = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
#: (36, 9) from a kernel to its points.
_TO_POINTS = torch.kron(_G, _G).float()


def use(module: nn.Module) -> None:
    """Let the module's 3 x 3 convolutions that can learn this way; its weights stay as they are.

    They go on with torch's convolutions on GPUs, in mixed precision, and without a C++ compiler.
    """
    for part in module.modules():
        if type(part) is nn.Conv2d and _fits(part):
            part.__class__ = WinogradConv2d


def _fits(layer: nn.Conv2d) -> bool:
    return (
        (layer.kernel_size, layer.stride, layer.padding) == ((3, 3), (1, 1), (1, 1))
        and (layer.dilation, layer.groups, layer.bias) == ((1, 1), 1, None)
        and layer.in_channels % _PANEL == layer.out_channels % _PANEL == 0
        and layer.padding_mode == "zeros"
    )


class WinogradConv2d(nn.Conv2d):
    """3 x 3, stride 1, padded by 1, no bias, channels in multiples of 16."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K, h, w), channels last."""
        plain = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32
        if not plain or torch.is_autocast_enabled("cpu") or library() is None:
            return super().forward(x)
        result: Tensor = _Convolution.apply(x, self.weight)
        return result


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            for_x = _convolve(gradient, weight.flip(2, 3).transpose(0, 1))
        if ctx.needs_input_grad[1]:
            for_weight = _weights_gradient(x, gradient)
        return for_x, for_weight


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    n, inputs, h, w = x.shape
    outputs = len(weight)
    panels = weight.reshape(outputs // _PANEL, _PANEL, inputs, 9).permute(3, 0, 2, 1)
    points = _TO_POINTS @ panels.reshape(9, -1)
    y = torch.empty((n, outputs, h, w), memory_format=torch.channels_last)

    def share(lib: ctypes.CDLL, begin: int, end: int) -> int:
        addresses = x.data_ptr(), points.data_ptr(), y.data_ptr()
        failed: int = lib.convolve(*addresses, n, h, w, inputs, outputs, begin, end)
        return failed

    _shared(share, x)
    return y


def _weights_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    n, inputs, h, w = x.shape
    outputs = gradient.shape[1]
    sums = {}

    def share(lib: ctypes.CDLL, begin: int, end: int) -> int:
        sums[begin] = torch.zeros(_POINTS, inputs * outputs)
        addresses = x.data_ptr(), gradient.data_ptr(), sums[begin].data_ptr()
        failed: int = lib.weights_gradient(*addresses, n, h, w, inputs, outputs, begin, end)
        return failed

    _shared(share, x)
    # In their order, so that the sum is the same every time.
    together = sum((sums[begin] for begin in sorted(sums)), torch.zeros(()))
    return (_TO_POINTS.T @ together).view(3, 3, inputs, outputs).permute(3, 2, 0, 1)


def _shared(share: Callable[[ctypes.CDLL, int, int], int], x: Tensor) -> None:
    """All tiles of an input, in equal shares for as many threads as torch has."""
    lib = library()
    assert lib is not None
    n, _, h, w = x.shape
    tiles = n * -(-h // _STEP) * -(-w // _STEP)
    threads = min(torch.get_num_threads(), tiles)
    if threads == 1:
        failed = share(lib, 0, tiles)
    else:
        bounds = [tiles * i // threads for i in range(threads + 1)]
        failed = sum(_pool(threads).map(share, [lib] * threads, bounds[:-1], bounds[1:]))
    if failed:
        raise MemoryError("no memory for a convolution")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "winograd")


@cache
def library() -> ctypes.CDLL | None:
    """The compiled ``winograd.cpp``; None, with one warning, if it cannot be compiled here."""
    flags = " ".join(_FLAGS)
    machine = f"{platform.machine()} {' '.join(sorted(cpu_features()))}"
    key = hashlib.sha256(f"{_SOURCE.read_text()}{flags}{machine}".encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = home / "depth_pose_ros" / f"winograd-{key}.so"
    try:
        if not path.exists():
            _compile(path)
        lib = ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip()
        logging.getLogger(__name__).warning(
            "Training goes on without the faster convolutions: %s", why
        )
        return None
    address, size = ctypes.c_void_p, ctypes.c_ssize_t
    for function in (lib.convolve, lib.weights_gradient):
        function.argtypes = [*(address,) * 3, *(size,) * 7]
        function.restype = ctypes.c_int
    return lib


def _compile(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CXX", "c++")
    # Processes that compile at the same time each put a whole file there.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        command = [*compiler.split(), *_FLAGS, "-shared", "-fPIC", str(_SOURCE), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        made.replace(path)
