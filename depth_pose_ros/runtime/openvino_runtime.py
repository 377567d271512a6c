"""OpenVINO as the runtime: the heavy parts compiled for the processor, the rest in torch."""

from collections import OrderedDict
from itertools import pairwise

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
from depth_pose_ros.network.tower import REACH
from depth_pose_ros.runtime.openvino_models import (
    FcnMaps,
    FinderMaps,
    MetricNetwork,
    PhasedTower,
    SeparateTowers,
    convert,
)
from depth_pose_ros.runtime.openvino_program import Program
from depth_pose_ros.runtime.openvino_programme import Marginals
from depth_pose_ros.skeleton import EDGES, NUM_JOINTS

_SHAPES = 4  # image sizes whose finder is kept
_STRIPS = 4  # more strips than this are mostly their borders
_MULTIPLE = 16  # pixels: fewer sizes of regions, each of which OpenVINO has to prepare once


class OpenVinoRuntime:
    """Both networks on the CPU; people one after the other.

    The paper's layers are large enough to be shared among threads one by one.  The compact model's
    take some hundred microseconds each, and sharing one costs as much as it saves: there every
    layer has one thread, and what is independent, strips of the tower and groups of parts, runs
    side by side.

    Args:
        pose, finder: float32 on the CPU.
        threads: processor threads.
        fcn: the FCN as a model of its own, in whole numbers; None: as it is.
    """

    def __init__(
        self, pose: PoseNetwork, finder: Finder, threads: int, fcn: ov.Model | None = None
    ) -> None:
        self.network = pose.eval().cpu()
        net, config = self.network.matchnet, self.network.config
        large = config.fcn == "paper"
        self._finder = finder.eval().cpu()
        self._finders: OrderedDict[tuple[int, ...], Program] = OrderedDict()
        fcn = fcn or convert(FcnMaps(self.network.fcn), (1, 1, HEIGHT, WIDTH))
        self._fcn = Program(fcn, threads if large else 1)
        count, features = config.proposals, net.patch_weight.shape[1]
        bounds = np.linspace(0, NUM_JOINTS, min(threads, NUM_JOINTS) + 1).astype(int).tolist()
        self._groups = [slice(a, b) for a, b in pairwise(bounds)]
        # The windows of one part always have the same size, those of all together have not.
        self._multiple = 4 if net.towers > 1 else _MULTIPLE
        self._strips = min(threads, _STRIPS)
        self._towers: list[Program] = []
        if net.towers == 1:
            tower = convert(PhasedTower(net.tower), (1, 1, -1, -1))
            self._towers = [Program(tower, 1, self._strips)]
        self._metric: list[Program] = []
        for parts in self._groups:
            with torch.no_grad():
                metric = MetricNetwork(net, self.network.match_weight, parts)
            shape = (parts.stop - parts.start, count, features)
            self._metric.append(Program(convert(metric, shape), 1))
            if net.towers > 1:
                towers = SeparateTowers(net.tower, parts)
                self._towers.append(Program(convert(towers, (1, shape[0], -1, -1)), 1))
        self.programs: Programs | None = Programs(self._appearance, None)
        if config.readout == "marginals":
            marginals = Marginals(self.network.gamma, self.network.temperature)
            points = (len(EDGES), count, 3)
            model = convert(marginals, (NUM_JOINTS, count), points, points)
            self._tree = Program(model, 1)
            self.programs = Programs(self._appearance, self._marginals)

    @torch.inference_mode()
    def find(self, depth: NDArray[np.float32]) -> FinderOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        if depth.shape not in self._finders:
            if len(self._finders) == _SHAPES:
                self._finders.popitem(last=False)
            model = convert(FinderMaps(self._finder), (1, *depth.shape))
            self._finders[depth.shape] = Program(model, 1)
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
        features = self.network.matchnet.gather_features(crops, pixels, self._dense, self._multiple)
        for program, parts in zip(self._metric, self._groups, strict=True):
            program.start(0, [features[0, parts].numpy()])
        unary = [program.finish(0)[0] for program in self._metric]
        return torch.cat(unary)[None]

    def _marginals(self, unary: Tensor, anchors: Tensor, children: Tensor) -> Tensor:
        (marginals,) = self._tree(*(t[0].numpy() for t in (unary, anchors, children)))
        return marginals[None]

    def _dense(self, regions: Tensor) -> Tensor:
        if len(self._towers) > 1:
            for program, parts in zip(self._towers, self._groups, strict=True):
                program.start(0, [regions[:, parts].numpy()])
            return torch.cat([p.finish(0)[0] for p in self._towers], dim=-1)[None]
        # Strips of outputs begin at multiples of 4 and need REACH more rows of the region.
        (program,), rows = self._towers, regions.shape[2] - REACH
        if regions.shape[1] > 1 or self._strips == 1:
            return program(regions.numpy())[0][None]
        bounds = [4 * round(rows / 4 * i / self._strips) for i in range(self._strips + 1)]
        for i, (first, last) in enumerate(pairwise(bounds)):
            program.start(i, [regions[:, :, first : last + REACH].numpy()])
        return torch.cat([program.finish(i)[0] for i in range(self._strips)])[None]
