"""People one after the other, the layers of each shared among the threads."""

from functools import partial
from itertools import pairwise

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.backends.native import steps
from depth_pose_ros.core.backends.openvino_compiled import CompiledModel
from depth_pose_ros.core.backends.openvino_models import (
    MetricNetwork,
    PhasedTower,
    SeparateTowers,
    convert,
    fcn_output,
)
from depth_pose_ros.core.backends.openvino_tree import make_tree
from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.flip import flip_average
from depth_pose_ros.core.models.pose_network import KernelOverrides, PoseNetwork, Stage
from depth_pose_ros.core.skeleton import NUM_JOINTS


class IntraOpParallel:
    """For large layers, such as the paper's, which several threads compute faster than one.

    Args:
        network: float32 on the CPU.
        threads: processor threads.
        fcn: the FCN.
        mirror: whether it looks at every crop a second time, in the mirror.
    """

    def __init__(
        self, network: PoseNetwork, threads: int, fcn: ov.Model, mirror: bool = False
    ) -> None:
        self.network = network
        self._mirror = mirror
        net, config = network.matchnet, network.config
        large = config.fcn == "paper"
        self._fcn = CompiledModel(fcn, threads if large else 1)
        count, features = config.proposals, net.patch_weight.shape[1]
        bounds = np.linspace(0, NUM_JOINTS, min(threads, NUM_JOINTS) + 1).astype(int).tolist()
        self._groups = [slice(a, b) for a, b in pairwise(bounds)]
        self._towers: list[CompiledModel] = []
        self._metric: list[CompiledModel] = []
        if net.towers == 1:
            tower = convert(PhasedTower(net.tower), (1, 1, -1, -1))
            self._towers = [CompiledModel(tower, threads)]
        for parts in self._groups:
            with torch.no_grad():
                metric = MetricNetwork(net, network.match_weight, parts)
            shape = (parts.stop - parts.start, count, features)
            self._metric.append(CompiledModel(convert(metric, shape), 1))
            if net.towers > 1:
                towers = SeparateTowers(net.tower, parts)
                self._towers.append(CompiledModel(convert(towers, (1, shape[0], -1, -1)), 1))
        tree = make_tree(network, threads, steps(network, 1))
        weigh = None if tree is None else partial(tree, None)
        self.programs: KernelOverrides | None = KernelOverrides(self._appearance, weigh)

    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        people = []
        for i in range(len(crops)):
            image, place = (
                torch.from_numpy(crops[i : i + 1, None]),
                torch.from_numpy(frames[i : i + 1]),
            )
            maps = self.fcn(image)
            lowest = None if least is None else torch.from_numpy(least[i : i + 1])
            people.append(self.network.complete(maps, image, place, stage, self.programs, lowest))
        return PoseOutput(*(torch.cat(parts) for parts in zip(*people, strict=True)))

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        if self._mirror:
            return flip_average(self._look, crops, self.network.fcn.stride)
        return self._look(crops)

    def _look(self, crops: Tensor) -> FcnOutput:
        return as_output(self._fcn(crops.numpy()), self.network)

    def _appearance(self, crops: Tensor, pixels: Tensor) -> Tensor:
        features = self.network.matchnet.gather_features(crops, pixels, self._dense, multiple=4)
        for program, parts in zip(self._metric, self._groups, strict=True):
            program.start(0, [features[0, parts].numpy()])
        return torch.cat([program.finish(0)[0] for program in self._metric])[None]

    def _dense(self, regions: Tensor) -> Tensor:
        if self.network.matchnet.towers == 1:
            return self._towers[0](regions.numpy())[0][None]
        for program, parts in zip(self._towers, self._groups, strict=True):
            program.start(0, [regions[:, parts].numpy()])
        return torch.cat([p.finish(0)[0] for p in self._towers], dim=-1)[None]


def as_output(maps: list[Tensor], network: PoseNetwork) -> FcnOutput:
    """An FCN program's outputs as the network's own."""
    return fcn_output(maps, network.config.displacement, network.fcn.logits)
