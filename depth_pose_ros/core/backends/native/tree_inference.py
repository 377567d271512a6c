"""The dynamic programme by compiled code."""

import ctypes

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.tree_inference import schedule
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGES, NUM_JOINTS

Floats = NDArray[np.float32]


class NativeTreeInference:
    """Equal to what follows the terms in :meth:`PoseNetwork.weigh` but for rounding.

    Args:
        network: float32 on the CPU; its weights are copied.
        functions: of :func:`depth_pose_ros.core.backends.native.loading.library`.
        workers: how many threads may call at once.
    """

    def __init__(self, network: PoseNetwork, functions: ctypes.CDLL, workers: int) -> None:
        self._functions = functions
        self._marginals = network.config.readout == "marginals"
        self._scale = 1.0 / float(network.temperature) if self._marginals else 1.0
        self._gamma = network.gamma.detach().float().contiguous().clone()
        levels, self._root = schedule(EDGES, NUM_JOINTS)
        steps = [step for level in levels for step in zip(*level, strict=True)]
        self._order = np.array(steps, np.int32)
        self._children = list(EDGE_CHILDREN)
        size = functions.programme_workspace(NUM_JOINTS, network.config.proposals)
        self._work = [np.empty(size, np.float32) for _ in range(workers)]

    def __call__(self, worker: int, unary: Tensor, anchors: Tensor, children: Tensor) -> Tensor:
        """How much every candidate counts.

        Args:
            worker: below ``workers``, in use by no other thread.
            unary: (19, n).
            anchors, children: (18, n, 3) metres, as of :meth:`PoseNetwork.anchors`.

        Returns:
            (19, n), every part's summing to 1: marginals, or all on the best configuration's.
        """
        points = np.zeros((NUM_JOINTS, *children.shape[1:]), np.float32)
        points[self._children] = children.numpy()
        own, places = (np.ascontiguousarray(t.numpy()) for t in (unary, anchors))
        return torch.from_numpy(self.on_arrays(worker, own, places, points))

    def weigh(self, worker: int, unary: Tensor, anchors: Tensor, children: Tensor) -> Tensor:
        """As a call, for a batch of one."""
        return self(worker, unary[0], anchors[0], children[0])[None]

    def on_arrays(
        self, worker: int, unary: Floats, anchors: Floats, points: Floats
    ) -> NDArray[np.float32]:
        """As a call, with contiguous arrays and all parts' candidates (19, n, 3)."""
        weights = np.zeros(unary.shape, np.float32)
        choice = np.empty(NUM_JOINTS, np.int64)
        self._functions.programme(
            unary.ctypes.data, anchors.ctypes.data, points.ctypes.data, self._gamma.data_ptr(),
            self._scale, self._order.ctypes.data, self._root, NUM_JOINTS, unary.shape[1],
            self._work[worker].ctypes.data, weights.ctypes.data if self._marginals else None,
            choice.ctypes.data,
        )  # fmt: skip
        if not self._marginals:
            weights[np.arange(NUM_JOINTS), choice] = 1.0
        return weights
