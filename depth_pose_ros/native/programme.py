"""The dynamic programme by compiled code."""

import ctypes

import numpy as np
import torch
from torch import Tensor

from depth_pose_ros.network.inference import schedule
from depth_pose_ros.network.model import PoseNetwork
from depth_pose_ros.skeleton import EDGES, NUM_JOINTS


class NativeProgramme:
    """Equal to what follows the terms in :meth:`PoseNetwork.weigh` but for rounding.

    Args:
        network: float32 on the CPU; its weights are copied.
        functions: of :func:`depth_pose_ros.native.loading.library`.
        lanes: how many threads may call at once.
    """

    def __init__(self, network: PoseNetwork, functions: ctypes.CDLL, lanes: int) -> None:
        self._functions = functions
        self._marginals = network.config.readout == "marginals"
        self._scale = 1.0 / float(network.temperature) if self._marginals else 1.0
        self._gamma = network.gamma.detach().float().contiguous().clone()
        levels, self._root = schedule(EDGES, NUM_JOINTS)
        steps = [step for level in levels for step in zip(*level, strict=True)]
        self._order = np.array(steps, np.int32)
        size = functions.programme_workspace(NUM_JOINTS, network.config.proposals)
        self._work = [np.empty(size, np.float32) for _ in range(lanes)]

    def __call__(self, lane: int, unary: Tensor, anchors: Tensor, children: Tensor) -> Tensor:
        """How much every candidate counts.

        Args:
            lane: below ``lanes``, in use by no other thread.
            unary: (19, n).
            anchors, children: (18, n, 3) metres, as of :meth:`PoseNetwork.anchors`.

        Returns:
            (19, n), every part's summing to 1: marginals, or all on the best configuration's.
        """
        unary, anchors, children = (t.contiguous() for t in (unary, anchors, children))
        weights = torch.zeros(unary.shape)
        choice = np.empty(NUM_JOINTS, np.int64)
        self._functions.programme(
            unary.data_ptr(), anchors.data_ptr(), children.data_ptr(), self._gamma.data_ptr(),
            self._scale, self._order.ctypes.data, self._root, NUM_JOINTS, unary.shape[1],
            self._work[lane].ctypes.data, weights.data_ptr() if self._marginals else None,
            choice.ctypes.data,
        )  # fmt: skip
        if not self._marginals:
            weights[torch.arange(NUM_JOINTS), torch.from_numpy(choice)] = 1.0
        return weights
