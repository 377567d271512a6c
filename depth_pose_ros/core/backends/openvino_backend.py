"""The OpenVINO backend: it runs the FCN and the detector."""

from collections import OrderedDict
from functools import partial

import openvino as ov
import torch
from torch import Tensor

from depth_pose_ros.core.backends.backend import Floats
from depth_pose_ros.core.backends.cpu_backend import CpuBackend, Fcn
from depth_pose_ros.core.backends.openvino_models import (
    CompiledModel,
    DetectorMaps,
    FcnMaps,
    convert,
    fcn_output,
)
from depth_pose_ros.core.crops import HEIGHT, WIDTH
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork

_MAX_DETECTORS = 4  # image sizes with a compiled detector


class OpenVinoBackend(CpuBackend):
    """Convolutional networks by OpenVINO, the other stages as in :class:`CpuBackend`.

    Args:
        pose, detector: float32 on the CPU.
        threads: number of CPU threads.
        fcn: the quantized FCN; None: the network's own.
        flip_test: average the FCN's output with that of the flipped crop.
    """

    def __init__(
        self,
        pose: PoseNetwork,
        detector: PersonDetector,
        threads: int,
        fcn: ov.Model | None = None,
        flip_test: bool = False,
    ) -> None:
        network = pose.eval().cpu()
        # Reshaped to each image size at its first image, which takes 0.1 s.
        self._detector = convert(DetectorMaps(detector.eval().cpu()), (1, -1, -1))
        self._detectors: OrderedDict[tuple[int, ...], CompiledModel] = OrderedDict()
        self._threads = threads
        fcn = fcn or convert(FcnMaps(network.fcn), (1, 1, HEIGHT, WIDTH))
        counts = [threads] + [1] * (threads if threads > 1 else 0)
        fcns: list[Fcn] = [partial(_run, network, CompiledModel(fcn, n)) for n in counts]
        super().__init__(network, threads, fcns[0], fcns[1:], flip_test)

    @torch.inference_mode()
    def detect(self, depth: Floats) -> DetectorOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        if depth.shape not in self._detectors:
            if len(self._detectors) == _MAX_DETECTORS:
                self._detectors.popitem(last=False)
            model = self._detector.clone()
            model.reshape({0: ov.PartialShape([1, *depth.shape])})
            self._detectors[depth.shape] = CompiledModel(model, self._threads)
        return DetectorOutput(*self._detectors[depth.shape](depth[None]))


def _run(network: PoseNetwork, model: CompiledModel, crops: Tensor) -> FcnOutput:
    return fcn_output(model(crops.numpy()), network.config.displacement, network.fcn.logits)
