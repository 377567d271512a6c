"""What a GPU needs to be fast: pinned copies, half precision, and few launches.

Written against PyTorch's documentation; not yet measured on a GPU.
"""

from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from depth_pose_ros.core.models.fcn import FcnOutput

_GRAPHS = 8  # batch sizes that are kept ready
_WARM_UP = 3  # runs before capture, in which cuDNN picks its kernels


def copy_to(device: torch.device, array: NDArray[np.float32]) -> Tensor:
    """The array on a device; to a GPU from pinned memory, so that the copy does not wait."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class CudaFcn:
    """An FCN in half precision, channels last, one CUDA graph per batch size.

    A graph starts the network's hundred kernels at once: one by one the launches alone would take
    longer than a small network's arithmetic.

    Args:
        fcn: on the GPU; a half-precision copy is made, it stays as it is.
    """

    def __init__(self, fcn: nn.Module) -> None:
        self._source = fcn
        self._graphs: OrderedDict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, Tensor, FcnOutput]]
        self._graphs = OrderedDict()

    def __call__(self, crops: Tensor) -> FcnOutput:
        """(B, 1, H, W) float32 on the GPU -> float32 maps, which hold until the next call."""
        key = tuple(crops.shape)
        if key not in self._graphs:
            if len(self._graphs) == _GRAPHS:
                self._graphs.popitem(last=False)
            # Streams and graphs are made on the current GPU, which need not be the network's.
            with torch.cuda.device(crops.device):
                self._graphs[key] = self._capture(crops)
        graph, still, output = self._graphs[key]
        self._graphs.move_to_end(key)
        still.copy_(crops)
        graph.replay()
        return output

    def _capture(self, crops: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, FcnOutput]:
        still = crops.clone(memory_format=torch.channels_last)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._half(still)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._half(still)
        return graph, still, output

    def _half(self, crops: Tensor) -> FcnOutput:
        # The graph holds the casts of the weights' copies too, unless the cache is off.
        with torch.autocast("cuda", torch.float16, cache_enabled=False):
            maps: FcnOutput = self._source(crops)
        displacement = None if maps.displacement is None else maps.displacement.float()
        context = None if maps.context is None else maps.context.float()
        return FcnOutput(maps.heat.float(), maps.depth.float(), displacement, maps.logits, context)
