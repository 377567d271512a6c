"""Inference on a CUDA GPU with torch.  Not yet measured on a GPU."""

import torch
from torch import Tensor

from depth_pose_ros.core.backends.backend import Floats
from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.flip import flip_average
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage


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

    @torch.inference_mode()
    def detect(self, depth: Floats) -> DetectorOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        return DetectorOutput(*(t.cpu() for t in self._detector(self._copy(depth)[None])))

    @torch.inference_mode()
    def poses(
        self, crops: Floats, frames: Floats, stage: Stage, min_scores: Floats | None = None
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        images, positions = self._copy(crops)[:, None], self._copy(frames)
        minimum = None if min_scores is None else self._copy(min_scores)
        output = self.network.forward_maps(self.fcn(images), images, positions, stage, minimum)
        return PoseOutput(*(t.cpu() for t in output))

    @torch.inference_mode()
    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        if self._flip_test:
            return flip_average(self._half_precision, crops, self.network.fcn.stride)
        return self._half_precision(crops)

    def _half_precision(self, crops: Tensor) -> FcnOutput:
        with torch.autocast("cuda", torch.float16):
            output: FcnOutput = self.network.fcn(crops)
        heat, depth, displacement, context = (
            None if t is None else t.float()
            for t in (output.heat, output.depth, output.displacement, output.context)
        )
        assert heat is not None
        assert depth is not None
        return FcnOutput(heat, depth, displacement, output.logits, context)

    def _copy(self, array: Floats) -> Tensor:
        """The array on the GPU, from pinned memory, so that the copy is asynchronous."""
        return torch.from_numpy(array).pin_memory().to(self._device, non_blocking=True)
