"""MatchNet's unary term by compiled code."""

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.tower import patch_extent

#: What ``matchnet.cpp`` is written for.
_TOWER, _UNITS, _PATCH = (16, 16, 32, 32, 16), (32, 32), 32


def fits(config: ModelConfig) -> bool:
    """Whether the compiled code is for networks of this shape."""
    return (
        config.shared_tower
        and config.tower == _TOWER
        and config.metric_units == _UNITS
        and config.patch == _PATCH
    )


class NativeMatchNet:
    """Equal to :meth:`PoseNetwork.appearance` but for rounding; may be called by several threads.

    Args:
        network: float32 on the CPU, of a shape that :func:`fits`; its weights are copied.
        functions: of :func:`depth_pose_ros.core.backends.native.loading.library`.
        workers: how many threads may call at once.
    """

    def __init__(self, network: PoseNetwork, functions: ctypes.CDLL, workers: int) -> None:
        self._functions = functions
        self._side, self._templates = network.config.window, network.config.templates
        self._weights = _weights(network)
        pointers = [tensor.data_ptr() for tensor in self._weights]
        self._pointers = (ctypes.c_void_p * len(pointers))(*pointers)
        self._work: list[np.ndarray] = [np.empty(0, np.float32)] * workers

    def fill(
        self, worker: int, parts: Sequence[int], crop: Tensor, pixels: Tensor, result: Tensor
    ) -> None:
        """The unary terms of some parts of one crop.

        Args:
            worker: below ``workers``, in use by no other thread.
            parts: indices, at least one.
            crop: (H, W).
            pixels: (19, n, 2) int64, (x, y): windows as of
                :func:`depth_pose_ros.core.models.proposals.window_pixels`.
            result: (19, n), of which the parts' rows are overwritten.
        """
        image = np.ascontiguousarray(crop.numpy())
        self.fill_windows(worker, parts, image, pixels[:, 0].numpy(), result.numpy())

    def fill_windows(
        self,
        worker: int,
        parts: Sequence[int],
        crop: NDArray[np.float32],
        starts: NDArray[np.int64],
        result: NDArray[np.float32],
    ) -> None:
        """As :meth:`fill`, with a contiguous crop and the windows' first pixels (19, 2)."""
        which = np.asarray(parts, np.int32)
        starts = np.ascontiguousarray(starts[which])
        out = np.empty((len(which), self._side**2), np.float32)
        work = self._workspace(worker, *crop.shape)
        self._functions.matchnet(
            crop.ctypes.data, *crop.shape, starts.ctypes.data, self._side, self._templates,
            self._pointers, which.ctypes.data, len(which), work.ctypes.data, out.ctypes.data,
        )  # fmt: skip
        result[which] = out

    def _workspace(self, worker: int, height: int, width: int) -> np.ndarray:
        size = self._functions.matchnet_workspace(height, width, self._side)
        if len(self._work[worker]) < size:
            self._work[worker] = np.empty(size, np.float32)
        return self._work[worker]


def _weights(network: PoseNetwork) -> list[Tensor]:
    """In the order and layout of ``matchnet.cpp``: inputs before outputs, channels innermost."""
    net = network.matchnet
    with torch.no_grad():
        tensors: list[Tensor] = []
        for conv in net.tower.layers():
            assert conv.bias is not None
            tensors += [conv.weight.permute(2, 3, 1, 0), conv.bias]
        tensors += [
            net.patch_weight, net.template_half(), net.second_weight, net.second_bias,
            net.match_weight, net.match_bias, network.match_weight,
        ]  # fmt: skip
        return [t.detach().float().clone(memory_format=torch.contiguous_format) for t in tensors]


assert patch_extent(_PATCH) == 49  # as matchnet.cpp has it
