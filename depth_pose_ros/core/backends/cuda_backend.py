"""Inference on a CUDA GPU: pinned copies, half precision and CUDA graphs.

Written against PyTorch's documentation; not yet measured on a GPU.
"""

from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.flip import flip_average
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage

_MAX_GRAPHS = 8  # batch sizes with a captured graph
_WARM_UP = 3  # runs before capture, in which cuDNN chooses its kernels


class CudaBackend:
    """Runs all people as one batch, the FCN in half precision.

    Args:
        pose, detector: moved to the device.
        device: a CUDA GPU.
        flip_test: average the FCN's output with that of the flipped crop.
    """

    def __init__(
        self,
        pose: PoseNetwork,
        detector: PersonDetector,
        device: torch.device,
        flip_test: bool = False,
    ) -> None:
        self._device, self._flip_test = device, flip_test
        self.network = pose.eval().to(device)
        self._detector = detector.eval().to(device)
        self._fcn = CudaFcn(self.network.fcn)

    @torch.inference_mode()
    def detect(self, depth: NDArray[np.float32]) -> DetectorOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        return DetectorOutput(*(t.cpu() for t in self._detector(self._copy(depth)[None])))

    @torch.inference_mode()
    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        min_scores: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        images, positions = self._copy(crops)[:, None], self._copy(frames)
        least = None if min_scores is None else self._copy(min_scores)
        output = self.network.complete(self.fcn(images), images, positions, stage, least)
        return PoseOutput(*(t.cpu() for t in output))

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        if self._flip_test:
            return flip_average(self._fcn, crops, self.network.fcn.stride)
        return self._fcn(crops)

    def _copy(self, array: NDArray[np.float32]) -> Tensor:
        """The array on the GPU, from pinned memory, so that the copy is asynchronous."""
        return torch.from_numpy(array).pin_memory().to(self._device, non_blocking=True)


class CudaFcn:
    """An FCN in half precision with one CUDA graph per batch size.

    A graph launches the network's hundred kernels at once: separate launches would take longer than
    a small network's arithmetic.

    Args:
        fcn: on the GPU, float32.
    """

    def __init__(self, fcn: nn.Module) -> None:
        self._source = fcn
        self._graphs: OrderedDict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, Tensor, FcnOutput]]
        self._graphs = OrderedDict()

    def __call__(self, crops: Tensor) -> FcnOutput:
        """(B, 1, H, W) float32 on the GPU -> float32 maps, valid until the next call."""
        key = tuple(crops.shape)
        if key not in self._graphs:
            if len(self._graphs) == _MAX_GRAPHS:
                self._graphs.popitem(last=False)
            # Streams and graphs are made on the current GPU, which may be another one.
            with torch.cuda.device(crops.device):
                self._graphs[key] = self._capture(crops)
        graph, static_input, output = self._graphs[key]
        self._graphs.move_to_end(key)
        static_input.copy_(crops)
        graph.replay()
        return output

    def _capture(self, crops: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, FcnOutput]:
        static_input = crops.clone(memory_format=torch.channels_last)
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(_WARM_UP):
                self._half(static_input)
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._half(static_input)
        return graph, static_input, output

    def _half(self, crops: Tensor) -> FcnOutput:
        # Without the cache the graph includes the casts of the weights.
        with torch.autocast("cuda", torch.float16, cache_enabled=False):
            maps: FcnOutput = self._source(crops)
        displacement = None if maps.displacement is None else maps.displacement.float()
        context = None if maps.context is None else maps.context.float()
        return FcnOutput(maps.heat.float(), maps.depth.float(), displacement, maps.logits, context)
