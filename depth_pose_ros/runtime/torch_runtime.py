"""PyTorch as the runtime: everywhere, and the only one on a GPU."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.native import (
    NativeMatchNet,
    NativeProgramme,
    NativeSkeleton,
    fits,
    follows,
    library,
)
from depth_pose_ros.network.fcn import FcnOutput
from depth_pose_ros.network.finder import Finder, FinderOutput
from depth_pose_ros.network.mirror import merged, mirrored
from depth_pose_ros.network.model import PoseNetwork, Programs, Stage
from depth_pose_ros.network.readout import PoseOutput
from depth_pose_ros.runtime.cuda import CudaFcn, copy_to


class TorchRuntime:
    """Runs the modules as they are; on a GPU the FCN in half precision, as a CUDA graph.

    Args:
        pose, finder: moved to the device.
        device: a CPU or a CUDA GPU.
        mirror: whether the FCN looks at every crop a second time, in the mirror.
    """

    def __init__(
        self, pose: PoseNetwork, finder: Finder, device: torch.device, mirror: bool = False
    ) -> None:
        self._device = device
        self._mirror = mirror
        self.network = pose.eval().to(device)
        self.programs = None if device.type == "cuda" else _compiled(self.network)
        self._finder = finder.eval().to(device)
        self._fcn = CudaFcn(self.network.fcn) if device.type == "cuda" else self.network.fcn

    @torch.inference_mode()
    def find(self, depth: NDArray[np.float32]) -> FinderOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        output = self._finder(copy_to(self._device, depth)[None])
        return FinderOutput(*(t.cpu() for t in output))

    @torch.inference_mode()
    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        if self._device.type == "cuda":
            return self._run(crops, frames, stage, least)
        # One by one: what one person needs stays in a processor's cache, a batch's does not.
        people = []
        for i in range(len(crops)):
            lowest = None if least is None else least[i : i + 1]
            people.append(self._run(crops[i : i + 1], frames[i : i + 1], stage, lowest))
        return PoseOutput(*(torch.cat(parts) for parts in zip(*people, strict=True)))

    def _run(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None,
    ) -> PoseOutput:
        images, places = copy_to(self._device, crops)[:, None], copy_to(self._device, frames)
        lowest = None if least is None else copy_to(self._device, least)
        output = self.network.complete(
            self.fcn(images), images, places, stage, self.programs, lowest
        )
        return PoseOutput(*(t.cpu() for t in output))

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        if not self._mirror:
            plain: FcnOutput = self._fcn(crops)
            return plain
        both: FcnOutput = self._fcn(torch.cat((crops, mirrored(crops, self.network.fcn.stride))))
        first, second = torch.arange(2 * len(crops), device=self._device).chunk(2)
        return merged(both.of(first), both.of(second))


def _compiled(network: PoseNetwork) -> Programs | None:
    """Steps of a network on the CPU by compiled code, as far as there is any for it."""
    functions = library()
    if functions is None:
        return None
    tree = NativeProgramme(network, functions, 1)
    match = NativeMatchNet(network, functions, 1) if fits(network.config) else None

    def appearance(crops: Tensor, pixels: Tensor) -> Tensor:
        if match is None:
            return network.appearance(crops, pixels)
        result = torch.empty(pixels.shape[:3])
        for crop, own, row in zip(crops[:, 0], pixels, result, strict=True):
            match.fill(0, range(len(row)), crop, own, row)
        return result

    def weigh(unary: Tensor, anchors: Tensor, children: Tensor) -> Tensor:
        people = zip(unary, anchors, children, strict=True)
        return torch.stack([tree(0, *terms) for terms in people])

    if match is None or not follows(network.config):
        return Programs(appearance, weigh)
    native = NativeSkeleton(network, functions, match, 1)

    def skeleton(
        output: FcnOutput, crops: Tensor, frames: Tensor, least: Tensor | None
    ) -> PoseOutput:
        people = []
        for i in range(len(crops)):
            one, lowest = output.of(torch.tensor([i])), None if least is None else float(least[i])
            people.append(native(0, one, crops[i, 0].numpy(), frames[i].numpy(), lowest))
        return PoseOutput(*(torch.cat(parts) for parts in zip(*people, strict=True)))

    return Programs(appearance, weigh, skeleton)
