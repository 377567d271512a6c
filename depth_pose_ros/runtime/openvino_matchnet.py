"""MatchNet for one thread at a time, as OpenVINO models."""

from collections.abc import Sequence

import torch
from torch import Tensor

from depth_pose_ros.network.model import PoseNetwork
from depth_pose_ros.runtime.halves import HALVES
from depth_pose_ros.runtime.openvino_models import MetricNetwork, PhasedTower, convert
from depth_pose_ros.runtime.openvino_program import Program

_MULTIPLE = 16  # pixels: fewer sizes of regions, each of which OpenVINO has to prepare once


class OpenVinoMatchNet:
    """Equal to :meth:`PoseNetwork.appearance` but for rounding; for several threads at once.

    Args:
        network: float32 on the CPU, with one tower for all parts.
        lanes: how many threads may call at once.
    """

    def __init__(self, network: PoseNetwork, lanes: int) -> None:
        self._net = net = network.matchnet
        self._tower = Program(convert(PhasedTower(net.tower), (1, 1, -1, -1)), 1, lanes)
        self._metric = []
        for parts in HALVES:
            with torch.no_grad():
                metric = MetricNetwork(net, network.match_weight, list(parts))
            shape = (len(parts), network.config.proposals, net.patch_weight.shape[1])
            self._metric.append(Program(convert(metric, shape), 1, lanes))

    @torch.inference_mode()
    def fill(
        self, lane: int, parts: Sequence[int], crop: Tensor, pixels: Tensor, result: Tensor
    ) -> None:
        """The unary terms of one half's parts or of both halves', with one pass of the tower.

        Args:
            lane: below ``lanes``, in use by no other thread.
            parts: one of :data:`HALVES`, or one after the other.
            crop: (H, W).
            pixels: (19, n, 2) int64, (x, y).
            result: (19, n), of which the parts' rows are overwritten.
        """

        def dense(regions: Tensor) -> Tensor:
            return self._tower.on(lane, regions.numpy())[0][None]

        chosen = pixels[list(parts)][None]
        (features,) = self._net.gather_features(crop[None, None], chosen, dense, _MULTIPLE)
        for half, program in zip(HALVES, self._metric, strict=True):
            if half[0] in parts:
                at = parts.index(half[0])
                own = features[at : at + len(half)]
                result[list(half)] = program.on(lane, own.numpy())[0]
