"""MatchNet for one thread at a time, as OpenVINO models."""

from collections.abc import Sequence

import torch
from torch import Tensor

from depth_pose_ros.core.backends.body_halves import HALVES
from depth_pose_ros.core.backends.openvino_compiled import CompiledModel
from depth_pose_ros.core.backends.openvino_models import MetricNetwork, PhasedTower, convert
from depth_pose_ros.core.models.pose_network import PoseNetwork

_MULTIPLE = 16  # pixels: fewer sizes of regions, each of which OpenVINO has to prepare once


class OpenVinoMatchNet:
    """Equal to :meth:`PoseNetwork.appearance` but for rounding; for several threads at once.

    Args:
        network: float32 on the CPU, with one tower for all parts.
        workers: how many threads may call at once.
    """

    def __init__(self, network: PoseNetwork, workers: int) -> None:
        self._net = net = network.matchnet
        self._tower = CompiledModel(convert(PhasedTower(net.tower), (1, 1, -1, -1)), 1, workers)
        self._metric = []
        for parts in HALVES:
            with torch.no_grad():
                metric = MetricNetwork(net, network.match_weight, list(parts))
            shape = (len(parts), network.config.proposals, net.patch_weight.shape[1])
            self._metric.append(CompiledModel(convert(metric, shape), 1, workers))

    @torch.inference_mode()
    def fill(
        self, worker: int, parts: Sequence[int], crop: Tensor, pixels: Tensor, result: Tensor
    ) -> None:
        """The unary terms of one half's parts or of both halves', with one pass of the tower.

        Args:
            worker: below ``workers``, in use by no other thread.
            parts: one of :data:`HALVES`, or one after the other.
            crop: (H, W).
            pixels: (19, n, 2) int64, (x, y).
            result: (19, n), of which the parts' rows are overwritten.
        """

        def dense(regions: Tensor) -> Tensor:
            return self._tower.on(worker, regions.numpy())[0][None]

        chosen = pixels[list(parts)][None]
        (features,) = self._net.gather_features(crop[None, None], chosen, dense, _MULTIPLE)
        for half, program in zip(HALVES, self._metric, strict=True):
            if half[0] in parts:
                at = parts.index(half[0])
                own = features[at : at + len(half)]
                result[list(half)] = program.on(worker, own.numpy())[0]
