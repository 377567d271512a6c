"""All that follows the compact FCN, by compiled code."""

import ctypes
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.crops import DEPTH_RANGE, FAR
from depth_pose_ros.native.matchnet import NativeMatchNet, fits
from depth_pose_ros.native.programme import NativeProgramme
from depth_pose_ros.network.config import ModelConfig
from depth_pose_ros.network.fcn import FcnOutput
from depth_pose_ros.network.model import PoseNetwork
from depth_pose_ros.network.proposals import NEAREST
from depth_pose_ros.network.readout import (
    HEAT_WINDOW,
    LEAST_DOUBT,
    UNSEEN,
    PoseOutput,
    person_score,
)
from depth_pose_ros.skeleton import EDGES, NUM_JOINTS

#: Lane, crop (H, W), windows' first pixels (19, 2) -> fills the unary terms (19, n).
Appearance = Callable[[int, Tensor, NDArray[np.int64], NDArray[np.float32]], None]


def follows(config: ModelConfig) -> bool:
    """Whether the compiled code is for all of networks of this shape."""
    return config.fcn == "compact" and fits(config)


class NativeSkeleton:
    """Equal to what follows the FCN in :meth:`PoseNetwork.complete` but for rounding.

    Args:
        network: float32 on the CPU, of a shape that :func:`follows`; its weights are copied.
        functions: of :func:`depth_pose_ros.native.loading.library`.
        match: the network's.
        lanes: how many threads may call at once.
    """

    def __init__(
        self, network: PoseNetwork, functions: ctypes.CDLL, match: NativeMatchNet, lanes: int
    ) -> None:
        self._functions, self._match = functions, match
        self._tree = NativeProgramme(network, functions, lanes)
        self._side, self._stride = network.config.window, int(network.fcn.stride)
        self._displacement = network.config.displacement
        count = self._side**2
        self._lanes = [_Buffers(count) for _ in range(lanes)]
        self._parents = np.array([edge.parent for edge in EDGES], np.int32)
        with torch.no_grad():
            self._offsets = _copy(network.surface_offset)
            self._calibration = _copy(network.calibration)
            weight = network.heat_weight
            self._heat_weight = None if weight is None else _copy(weight)[:, None]
        gate, reach = float(network.surface_gate), (HEAT_WINDOW + self._stride) / 2
        self._constants = np.array(
            [DEPTH_RANGE, FAR, NEAREST, gate, reach, UNSEEN, LEAST_DOUBT], np.float32
        )

    def __call__(
        self,
        lane: int,
        output: FcnOutput,
        crop: Tensor,
        frame: Tensor,
        score: Tensor | None,
        appearance: Appearance | None = None,
    ) -> PoseOutput:
        """One skeleton.

        Args:
            lane: below ``lanes``, in use by no other thread.
            output: of the FCN for one crop.
            crop: (H, W).
            frame: (4,), its :class:`depth_pose_ros.crops.CropFrame`.
            score: (1,) of :meth:`PoseNetwork.presence`, if there is one.
            appearance: fills the unary terms instead of MatchNet on this thread.

        Raises:
            ValueError: the configuration needs displacements, but the FCN gave none.
        """
        if self._displacement and output.displacement is None:
            raise ValueError("the configuration needs displacements, but the FCN gave none")
        own = self._lanes[lane]
        heat, depth = _floats(output.heat[0]), _floats(output.depth[0])
        moves = _floats(output.displacement[0]) if self._displacement else None  # type: ignore[index]
        crop, place = _floats(crop), _floats(frame)
        shape = (NUM_JOINTS, *heat.shape[1:], self._stride)
        self._functions.candidates(
            heat.data_ptr(), depth.data_ptr(), None if moves is None else moves.data_ptr(),
            self._parents.ctypes.data, *shape, crop.data_ptr(), *crop.shape, place.data_ptr(),
            self._offsets.ctypes.data, self._constants.ctypes.data, self._side, *own.candidates,
        )  # fmt: skip
        if appearance is None:
            self._match.fill_windows(lane, range(NUM_JOINTS), crop, own.starts, own.unary)
        else:
            appearance(lane, crop, own.starts, own.unary)
        if self._heat_weight is not None:
            own.unary += self._heat_weight * own.log_heat
        weights = self._tree.on_arrays(lane, own.unary, own.anchors, own.points)
        joints = np.empty((1, NUM_JOINTS, 3), np.float32)
        pixels = np.empty((1, NUM_JOINTS, 2), np.float32)
        mass, confidence = np.empty((2, 1, NUM_JOINTS), np.float32)
        self._functions.readout(
            weights.ctypes.data, heat.data_ptr(), own.norm.ctypes.data, own.starts.ctypes.data,
            own.points.ctypes.data, own.measured.ctypes.data, self._calibration.ctypes.data, *shape,
            self._constants.ctypes.data, self._side, joints.ctypes.data, pixels.ctypes.data,
            mass.ctypes.data, confidence.ctypes.data,
        )  # fmt: skip
        if score is None:
            score = person_score(torch.from_numpy(mass))
        return PoseOutput(
            torch.from_numpy(joints),
            torch.from_numpy(pixels),
            torch.from_numpy(confidence),
            score,
        )


class _Buffers:
    """What one lane keeps between the steps, n candidates per part."""

    def __init__(self, count: int) -> None:
        self.starts = np.empty((NUM_JOINTS, 2), np.int64)
        self.points = np.empty((NUM_JOINTS, count, 3), np.float32)
        self.measured = np.empty((NUM_JOINTS, count), np.float32)
        self.log_heat = np.empty((NUM_JOINTS, count), np.float32)
        self.norm = np.empty(NUM_JOINTS, np.float32)
        self.anchors = np.empty((len(EDGES), count, 3), np.float32)
        self.unary = np.empty((NUM_JOINTS, count), np.float32)
        outputs = (
            self.starts, self.points, self.measured, self.log_heat, self.norm, self.anchors,
        )  # fmt: skip
        #: Addresses, in the order of ``candidates``'s arguments.
        self.candidates = [array.ctypes.data for array in outputs]


def _floats(tensor: Tensor) -> Tensor:
    return tensor.float().contiguous()


def _copy(tensor: Tensor) -> NDArray[np.float32]:
    return np.array(tensor.detach().float().numpy(), order="C")
