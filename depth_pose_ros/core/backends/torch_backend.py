"""PyTorch as the runtime: everywhere, and the only one on a GPU."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.backends.cuda import CudaFcn, copy_to
from depth_pose_ros.core.backends.native import steps
from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.flip import flip_average
from depth_pose_ros.core.models.pose_network import KernelOverrides, PoseNetwork, Stage
from depth_pose_ros.core.skeleton import NUM_JOINTS


class TorchRuntime:
    """Runs the modules as they are; on a GPU the FCN in half precision, as a CUDA graph.

    Args:
        pose, detector: moved to the device.
        device: a CPU or a CUDA GPU.
        mirror: whether the FCN looks at every crop a second time, in the mirror.
    """

    def __init__(
        self,
        pose: PoseNetwork,
        detector: PersonDetector,
        device: torch.device,
        mirror: bool = False,
    ) -> None:
        self._device = device
        self._mirror = mirror
        self.network = pose.eval().to(device)
        self.programs = None if device.type == "cuda" else _compiled(self.network)
        self._detector = detector.eval().to(device)
        self._fcn = CudaFcn(self.network.fcn) if device.type == "cuda" else self.network.fcn

    @torch.inference_mode()
    def find(self, depth: NDArray[np.float32]) -> DetectorOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        output = self._detector(copy_to(self._device, depth)[None])
        return DetectorOutput(*(t.cpu() for t in output))

    @torch.inference_mode()
    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
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
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        if self._mirror:
            return flip_average(self._fcn, crops, self.network.fcn.stride)
        output: FcnOutput = self._fcn(crops)
        return output


def _compiled(network: PoseNetwork) -> KernelOverrides | None:
    """Steps of a network by compiled code, crop by crop, as far as there is any for it."""
    native = steps(network, 1)
    if native is None:
        return None
    match = native.match

    def appearance(crops: Tensor, pixels: Tensor) -> Tensor:
        if match is None:
            return network.appearance(crops, pixels)
        result = torch.empty(pixels.shape[:3])
        match.fill(0, range(NUM_JOINTS), crops[0, 0], pixels[0], result[0])
        return result

    skeleton = None if native.skeleton is None else partial(native.skeleton, 0)
    return KernelOverrides(appearance, partial(native.tree.weigh, 0), skeleton)
