"""All that follows the compact FCN, by compiled code."""

import ctypes
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.backends.native.matchnet import NativeMatchNet, fits
from depth_pose_ros.core.backends.native.tree_inference import Floats, NativeTreeInference
from depth_pose_ros.core.crops import DEPTH_RANGE, FAR
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.decode import (
    HEAT_WINDOW,
    LEAST_DOUBT,
    UNSEEN,
    PoseOutput,
    absent,
    person_score,
)
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.proposals import NEAREST
from depth_pose_ros.core.skeleton import EDGE_PARENTS, EDGES, NUM_JOINTS

#: Crop (H, W), windows' first pixels (19, 2), and the unary terms (19, n), which it fills.
Appearance = Callable[[Floats, NDArray[np.int64], Floats], None]


def follows(config: ModelConfig) -> bool:
    """Whether the compiled code is for all of networks of this shape."""
    return config.fcn == "compact" and fits(config)


class NativeSkeleton:
    """Equal to what follows the FCN in :meth:`PoseNetwork.complete` but for rounding.

    Args:
        network: float32 on the CPU, of a shape that :func:`follows`; its weights are copied.
        functions: of :func:`depth_pose_ros.core.backends.native.loading.library`.
        match, tree: the network's.
        workers: how many threads may call at once.
    """

    def __init__(
        self,
        network: PoseNetwork,
        functions: ctypes.CDLL,
        match: NativeMatchNet,
        tree: NativeTreeInference,
        workers: int,
    ) -> None:
        self._functions, self._match, self._tree = functions, match, tree
        self._side, self._stride = network.config.window, int(network.fcn.stride)
        self._displacement = network.config.displacement
        count = self._side**2
        self._lanes = [_Buffers(count) for _ in range(workers)]
        self._parents = np.array(EDGE_PARENTS, np.int32)
        self._person = None if network.person is None else _head(network.person)
        with torch.no_grad():
            self._offsets = _copy(network.joint_depth_offset)
            self._calibration = _copy(network.calibration)
            weight = network.heat_weight
            self._heat_weight = None if weight is None else _copy(weight)[:, None]
        gate, reach = float(network.joint_depth_gate), (HEAT_WINDOW + self._stride) / 2
        self._constants = np.array(
            [DEPTH_RANGE, FAR, NEAREST, gate, reach, UNSEEN, LEAST_DOUBT], np.float32
        )

    def __call__(
        self,
        worker: int,
        output: FcnOutput,
        crops: Tensor,
        frames: Tensor,
        least: Tensor | None = None,
        appearance: Appearance | None = None,
    ) -> PoseOutput:
        """One skeleton.

        Args:
            worker: below ``workers``, in use by no other thread.
            output, crops, frames, least: as of :meth:`PoseNetwork.complete`, of one crop.
            appearance: fills the unary terms instead of MatchNet on this thread.

        Raises:
            ValueError: the configuration needs displacements, but the FCN gave none.
        """
        # All in numpy: torch lets other threads at Python with every operation, however small, and
        # two people's threads would spend more time on that than on the operations.
        score = self._score(output)
        if score is not None and least is not None and score < least.numpy()[0]:
            return absent(torch.tensor([score], dtype=torch.float32))
        if self._displacement and output.displacement is None:
            raise ValueError("the configuration needs displacements, but the FCN gave none")
        own = self._lanes[worker]
        heat, depth = _floats(output.heat), _floats(output.depth)
        moves = _floats(output.displacement) if self._displacement else None
        crop, frame = _floats(crops)[0], _floats(frames)
        shape = (*heat.shape[1:], self._stride)
        self._functions.candidates(
            heat.ctypes.data, depth.ctypes.data, None if moves is None else moves.ctypes.data,
            self._parents.ctypes.data, NUM_JOINTS, *shape, crop.ctypes.data, *crop.shape,
            frame.ctypes.data, self._offsets.ctypes.data, self._constants.ctypes.data, self._side,
            *own.candidates,
        )  # fmt: skip
        if appearance is None:
            self._match.fill_windows(worker, range(NUM_JOINTS), crop, own.starts, own.unary)
        else:
            appearance(crop, own.starts, own.unary)
        if self._heat_weight is not None:
            own.unary += self._heat_weight * own.log_heat
        weights = self._tree.on_arrays(worker, own.unary, own.anchors, own.points)
        joints = np.empty((1, NUM_JOINTS, 3), np.float32)
        pixels = np.empty((1, NUM_JOINTS, 2), np.float32)
        mass, confidence = np.empty((2, 1, NUM_JOINTS), np.float32)
        self._functions.readout(
            weights.ctypes.data, heat.ctypes.data, own.norm.ctypes.data, own.starts.ctypes.data,
            own.points.ctypes.data, own.measured.ctypes.data, self._calibration.ctypes.data,
            NUM_JOINTS, *shape, self._constants.ctypes.data, self._side, joints.ctypes.data,
            pixels.ctypes.data, mass.ctypes.data, confidence.ctypes.data,
        )  # fmt: skip
        known = person_score(torch.from_numpy(mass)) if score is None else torch.tensor([score])
        return PoseOutput(
            torch.from_numpy(joints),
            torch.from_numpy(pixels),
            torch.from_numpy(confidence),
            known.float(),
        )

    def _score(self, output: FcnOutput) -> float | None:
        """:meth:`PoseNetwork.presence`."""
        if self._person is None or output.context is None:
            return None
        hidden, bias, logit, last = self._person
        context = np.ascontiguousarray(output.context.numpy()[0], np.float32)
        value = self._functions.person(
            context.ctypes.data, len(context), hidden.ctypes.data, bias.ctypes.data,
            logit.ctypes.data, len(logit),
        )  # fmt: skip
        return float(1 / (1 + np.exp(-np.float32(value + last))))


class _Buffers:
    """What one worker keeps between the steps, n candidates per part."""

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


def _floats(maps: Tensor | None) -> Floats:
    """What there is of one crop."""
    assert maps is not None
    return np.ascontiguousarray(maps.numpy()[0], np.float32)


def _copy(tensor: Tensor) -> Floats:
    return np.array(tensor.detach().float().numpy(), order="C")


def _head(person: PersonClassifier) -> tuple[Floats, Floats, Floats, float]:
    """Both layers' weights, of contexts as they are."""
    with torch.no_grad():
        weight = person.hidden.weight / person.scale
        bias = person.hidden.bias - weight @ person.mean
        return _copy(weight), _copy(bias), _copy(person.logit.weight[0]), float(person.logit.bias)
