"""OpenVINO as the runtime: the heavy parts compiled for the processor, the rest in torch."""

from collections import OrderedDict

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.backends.openvino_compiled import CompiledModel
from depth_pose_ros.core.backends.openvino_layers import IntraOpParallel
from depth_pose_ros.core.backends.openvino_models import DetectorMaps, FcnMaps, convert
from depth_pose_ros.core.backends.openvino_workers import PerPersonParallel
from depth_pose_ros.core.crops import HEIGHT, WIDTH
from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import KernelOverrides, PoseNetwork, Stage

_SHAPES = 4  # image sizes whose detector is kept


class OpenVinoRuntime:
    """Both networks on the CPU.

    Args:
        pose, detector: float32 on the CPU.
        threads: processor threads.
        fcn: the FCN as a model of its own, in whole numbers; None: as it is.
        mirror: whether it looks at every crop a second time, in the mirror.
    """

    def __init__(
        self,
        pose: PoseNetwork,
        detector: PersonDetector,
        threads: int,
        fcn: ov.Model | None = None,
        mirror: bool = False,
    ) -> None:
        self.network = pose.eval().cpu()
        # Of any size; what is left to the first image of a size is a tenth of a second.
        self._detector = convert(DetectorMaps(detector.eval().cpu()), (1, -1, -1))
        self._finders: OrderedDict[tuple[int, ...], CompiledModel] = OrderedDict()
        fcn = fcn or convert(FcnMaps(self.network.fcn), (1, 1, HEIGHT, WIDTH))
        small = self.network.config.fcn == "compact" and self.network.matchnet.towers == 1
        self._threads = threads
        self._people = (PerPersonParallel if small else IntraOpParallel)(
            self.network, threads, fcn, mirror
        )
        self.programs: KernelOverrides | None = self._people.programs

    @torch.inference_mode()
    def find(self, depth: NDArray[np.float32]) -> DetectorOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        if depth.shape not in self._finders:
            if len(self._finders) == _SHAPES:
                self._finders.popitem(last=False)
            model = self._detector.clone()
            model.reshape({0: ov.PartialShape([1, *depth.shape])})
            self._finders[depth.shape] = CompiledModel(model, self._threads)
        return DetectorOutput(*self._finders[depth.shape](depth[None]))

    @torch.inference_mode()
    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        return self._people.poses(crops, frames, stage, least)

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        return self._people.fcn(crops)
