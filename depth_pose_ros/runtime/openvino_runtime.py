"""OpenVINO as the runtime: the heavy parts compiled for the processor, the rest in torch."""

from collections import OrderedDict

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.crops import HEIGHT, WIDTH
from depth_pose_ros.network.fcn import FcnOutput
from depth_pose_ros.network.finder import Finder, FinderOutput
from depth_pose_ros.network.model import PoseNetwork, Programs, Stage
from depth_pose_ros.network.readout import PoseOutput
from depth_pose_ros.runtime.openvino_models import (
    FcnMaps,
    FinderMaps,
    MetricNetwork,
    PhasedTower,
    compile_model,
    convert,
)
from depth_pose_ros.runtime.openvino_programme import Marginals
from depth_pose_ros.skeleton import EDGES, NUM_JOINTS

_SHAPES = 4  # image sizes whose finder is kept
_MULTIPLE = 16  # pixels: fewer sizes of regions, each of which OpenVINO has to prepare once


class OpenVinoRuntime:
    """Both networks on the CPU; people one after the other, all threads on each.

    Args:
        pose, finder: float32 on the CPU.
        threads: processor threads.
        fcn: the FCN as a model of its own, in whole numbers; None: as it is.
    """

    def __init__(
        self, pose: PoseNetwork, finder: Finder, threads: int, fcn: ov.Model | None = None
    ) -> None:
        self.network = pose.eval().cpu()
        self._threads = threads
        net, config = self.network.matchnet, self.network.config
        self._finder = finder.eval().cpu()
        self._finders: OrderedDict[tuple[int, ...], Program] = OrderedDict()
        fcn = fcn or convert(FcnMaps(self.network.fcn), (1, 1, HEIGHT, WIDTH))
        self._fcn = Program(fcn, threads)
        self._tower = Program(convert(PhasedTower(net.tower), (1, net.towers, -1, -1)), threads)
        with torch.no_grad():
            metric = MetricNetwork(net, self.network.match_weight)
        count = config.proposals
        features = (NUM_JOINTS, count, net.patch_weight.shape[1])
        self._metric = Program(convert(metric, features), threads)
        self.programs: Programs | None = Programs(self._appearance, None)
        if config.readout == "marginals":
            marginals = Marginals(self.network.gamma, self.network.temperature)
            points = (len(EDGES), count, 3)
            model = convert(marginals, (NUM_JOINTS, count), points, points)
            self._tree = Program(model, threads)
            self.programs = Programs(self._appearance, self._marginals)

    @torch.inference_mode()
    def find(self, depth: NDArray[np.float32]) -> FinderOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        if depth.shape not in self._finders:
            if len(self._finders) == _SHAPES:
                self._finders.popitem(last=False)
            model = convert(FinderMaps(self._finder), (1, *depth.shape))
            self._finders[depth.shape] = Program(model, self._threads)
        return FinderOutput(*self._finders[depth.shape](depth[None]))

    @torch.inference_mode()
    def poses(
        self, crops: NDArray[np.float32], frames: NDArray[np.float32], stage: Stage
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        people = [
            self._run(crops[i : i + 1, None], frames[i : i + 1], stage) for i in range(len(crops))
        ]
        return PoseOutput(*(torch.cat(parts) for parts in zip(*people, strict=True)))

    def _run(
        self, crop: NDArray[np.float32], frame: NDArray[np.float32], stage: Stage
    ) -> PoseOutput:
        image, place = torch.from_numpy(crop), torch.from_numpy(frame)
        return self.network.complete(self.fcn(image), image, place, stage, self.programs)

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        maps = self._fcn(crops.numpy())
        displacement = maps[2] if len(maps) > 2 else None
        return FcnOutput(maps[0], maps[1], displacement, self.network.fcn.logits)

    def _appearance(self, crops: Tensor, pixels: Tensor) -> Tensor:
        features = self.network.matchnet.gather_features(crops, pixels, self._dense, _MULTIPLE)
        (unary,) = self._metric(features[0].numpy())
        return unary[None]

    def _marginals(self, unary: Tensor, anchors: Tensor, children: Tensor) -> Tensor:
        (marginals,) = self._tree(*(t[0].numpy() for t in (unary, anchors, children)))
        return marginals[None]

    def _dense(self, regions: Tensor) -> Tensor:
        (table,) = self._tower(regions.numpy())
        return table[None]


class Program:
    """A compiled model with its one request."""

    def __init__(self, model: ov.Model, threads: int) -> None:
        self._request = compile_model(model, threads).create_infer_request()
        self._outputs = len(model.outputs)

    def __call__(self, *arrays: NDArray[np.float32]) -> list[Tensor]:
        """Outputs, which hold until the next call: they are the program's own memory."""
        inputs = [ov.Tensor(np.ascontiguousarray(a), shared_memory=True) for a in arrays]
        self._request.infer(inputs)
        outputs = (self._request.get_output_tensor(i).data for i in range(self._outputs))
        return [torch.from_numpy(output) for output in outputs]
