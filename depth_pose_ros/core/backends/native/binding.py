"""Loads the compiled code and calls it with a network's weights."""

import ctypes
import os
from collections.abc import Collection, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from depth_pose_ros.core.backends.backend import Floats
from depth_pose_ros.core.backends.workers import Workers
from depth_pose_ros.core.crops import DEPTH_RANGE, FAR
from depth_pose_ros.core.models.decode import (
    CONFIDENCE_EPS,
    HEAT_WINDOW,
    HIDDEN_FACTOR,
    PoseOutput,
    empty_pose,
    torso_score,
)
from depth_pose_ros.core.models.fcn import FcnOutput, log_heat
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.proposals import MIN_DEPTH
from depth_pose_ros.core.skeleton import EDGE_PARENTS, EDGES, JOINTS, NUM_JOINTS

ENVIRONMENT_SWITCH = "DEPTH_POSE_NATIVE"  #: "0": do without the compiled code

#: {instruction set: the CPU features it needs, as in /proc/cpuinfo}, fastest first.
_INSTRUCTION_SETS: dict[str, set[str]] = {
    "avx512": {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"},
    "avx2": {"avx2", "fma"},
    "generic": set(),
}
_ALL = np.arange(NUM_JOINTS, dtype=np.int32)
_IS_LOWER = np.array([j.endswith(("DownSpine", "Hand", "Hip", "Knee", "Foot")) for j in JOINTS])
_PARENTS = np.array(EDGE_PARENTS, np.int32)


def library() -> ctypes.CDLL | None:
    """The compiled code for this CPU, or None if it was not built or is switched off."""
    if os.environ.get(ENVIRONMENT_SWITCH) == "0":
        return None
    path = choose(built(), cpu_features())
    return None if path is None else _load(path)


def choose(files: Iterable[Path], features: Collection[str]) -> Path | None:
    """The file for the fastest instruction set that a CPU with these features has.

    Args:
        files: named ``_<instruction set>.<anything>.so``.
        features: as in /proc/cpuinfo.
    """
    by_set = {path.name.split(".")[0].removeprefix("_"): path for path in files}
    for name, needed in _INSTRUCTION_SETS.items():
        if name in by_set and needed <= set(features):
            return by_set[name]
    return None


def built() -> list[Path]:
    """The files that ``setup.py`` has made."""
    return sorted(Path(__file__).parent.glob("_*.so"))


@cache
def cpu_features() -> frozenset[str]:
    """The flags of an x86 CPU as Linux names them; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2].split() for line in lines if line.startswith("flags"))
    return frozenset(next(flags, ()))


@cache
def _load(path: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(path))


class Proposals:
    """Arrays that proposals.cpp fills for one crop; n proposals per part."""

    def __init__(self, count: int) -> None:
        self.starts = np.empty((NUM_JOINTS, 2), np.int64)  # the windows' first pixels (x, y)
        self.points = np.empty((NUM_JOINTS, count, 3), np.float32)
        self.measured = np.empty((NUM_JOINTS, count), np.float32)
        self.log_heat = np.empty((NUM_JOINTS, count), np.float32)
        self.log_norm = np.empty(NUM_JOINTS, np.float32)
        self.anchors = np.empty((len(EDGES), count, 3), np.float32)


class NativePipeline:
    """Equal to :meth:`PoseNetwork.forward_maps` for one crop but for rounding.

    May be called by several threads at once.

    Args:
        network: float32 on the CPU; its weights are copied.
        functions: from :func:`library`.
        workers: share MatchNet's work for one person.
    """

    def __init__(
        self, network: PoseNetwork, functions: ctypes.CDLL, workers: Workers | None = None
    ) -> None:
        self._library = functions
        self._workers = workers or Workers(1)
        config = network.config
        self._count = config.proposals
        self._needs_displacement = config.displacement
        self._best = config.readout == "best"
        self._scale = 1.0 if self._best else 1.0 / float(network.temperature)
        weight = network.heat_weight
        self._heat_weight = None if weight is None else _floats(weight)[:, None]
        self._gamma = _floats(network.gamma)
        self._offsets = _floats(network.joint_depth_offset)
        self._calibration = _floats(network.calibration)
        self._person = None if network.person is None else _person_weights(network.person)
        stride = int(network.fcn.stride)
        gate, reach = float(network.joint_depth_gate), (HEAT_WINDOW + stride) / 2
        self._constants = np.array(
            [DEPTH_RANGE, FAR, MIN_DEPTH, gate, reach, HIDDEN_FACTOR, CONFIDENCE_EPS, stride,
             config.window, config.fcn == "compact"], np.float32,
        )  # fmt: skip
        functions.matchnet_create.restype = ctypes.c_void_p
        self._matchnet = ctypes.c_void_p(_create_matchnet(network, functions))
        finalize(self, functions.matchnet_free, self._matchnet)
        # Parts that are processed together.  A shared tower covers one region per group: the upper
        # and the lower body.
        upper_and_lower = [_ALL[~_IS_LOWER], _ALL[_IS_LOWER]]
        self._groups = upper_and_lower if config.shared_tower else [_ALL[k : k + 1] for k in _ALL]

    def __call__(
        self,
        output: FcnOutput,
        crop: Floats,
        frame: Floats,
        min_score: float | None = None,
        parallel: bool = True,
    ) -> PoseOutput:
        """One skeleton.

        Args:
            output: the FCN's, of one crop.
            crop: (H, W).
            frame: (4,), see :class:`depth_pose_ros.core.crops.CropFrame`.
            min_score: as of :meth:`PoseNetwork.forward_maps`.
            parallel: use all workers; False inside of a worker.

        Raises:
            ValueError: the configuration needs displacements, but the FCN gave none.
        """
        # NumPy only: each torch operation releases Python's lock, which costs more than the
        # operation when several people's threads compete for it.
        score = self._score(output)
        if score is not None and min_score is not None and score < min_score:
            return empty_pose(torch.tensor([score]))
        heat = _one(output.heat if output.logits else log_heat(output))
        crop, frame = (np.ascontiguousarray(a, np.float32) for a in (crop, frame))
        proposals = self.propose(output, heat, crop, frame)
        unary = self.unary_terms(proposals, crop, parallel)
        weights = self.tree_inference(unary, proposals.anchors, proposals.points)
        joints, pixels, mass, confidence = self.decode(proposals, weights, heat)
        if score is None:
            score = float(torso_score(torch.from_numpy(mass)))
        return PoseOutput(
            torch.from_numpy(joints),
            torch.from_numpy(pixels),
            torch.from_numpy(confidence),
            torch.tensor([score]),
        )

    def propose(self, output: FcnOutput, heat: Floats, crop: Floats, frame: Floats) -> Proposals:
        """Proposals with their anchors; ``heat`` is (19, h, w) logits."""
        if self._needs_displacement and output.displacement is None:
            raise ValueError("the configuration needs displacements, but the FCN gave none")
        displacement = output.displacement if self._needs_displacement else None
        made = Proposals(self._count)
        self._call(
            "proposals", self._constants, heat, _one(output.depth),
            None if displacement is None else _one(displacement), _PARENTS,
            *heat.shape, crop, *crop.shape, frame, self._offsets, made.starts, made.points,
            made.measured, made.log_heat, made.log_norm, made.anchors,
        )  # fmt: skip
        return made

    def unary_terms(self, proposals: Proposals, crop: Floats, parallel: bool = True) -> Floats:
        """(19, n), as of :meth:`PoseNetwork.unary_terms`."""
        unary = np.empty((NUM_JOINTS, self._count), np.float32)
        fill = partial(self.matchnet, crop, proposals.starts, unary)
        if parallel and self._workers.count > 1:
            self._workers.map(lambda _, parts: fill(parts), self._groups)
        else:
            fill(_ALL)
        if self._heat_weight is not None:
            unary += self._heat_weight * proposals.log_heat
        return unary

    def matchnet(
        self, crop: Floats, starts: NDArray[np.int64], unary: Floats, parts: ArrayLike
    ) -> None:
        """Fill the parts' rows of ``unary`` (19, n) with U of Eqn. 3; ``starts`` is (19, 2)."""
        which = np.asarray(parts, np.int32)
        self._call("matchnet", self._matchnet, crop, *crop.shape, starts, which, len(which), unary)

    def tree_inference(self, unary: Floats, anchors: Floats, points: Floats) -> Floats:
        """Weights (19, n) of the proposals: marginals, or 1 at the best configuration's.

        Args:
            unary: (19, n).
            anchors: (18, n, 3) metres.
            points: (19, n, 3) metres.
        """
        weights = np.empty_like(unary)
        self._call(
            "tree_inference", unary, anchors, points, self._gamma, self._scale, _PARENTS,
            *unary.shape, self._best, weights,
        )  # fmt: skip
        return weights

    def decode(
        self, proposals: Proposals, weights: Floats, heat: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Joints (1, 19, 3), pixels (1, 19, 2), heat around the joints and confidence (1, 19)."""
        joints = np.empty((1, NUM_JOINTS, 3), np.float32)
        pixels = np.empty((1, NUM_JOINTS, 2), np.float32)
        mass, confidence = np.empty((2, 1, NUM_JOINTS), np.float32)
        self._call(
            "decode", self._constants, weights, heat, proposals.log_norm, proposals.starts,
            proposals.points, proposals.measured, self._calibration, *heat.shape, joints, pixels,
            mass, confidence,
        )  # fmt: skip
        return joints, pixels, mass, confidence

    def _score(self, output: FcnOutput) -> float | None:
        """:meth:`PoseNetwork.person_score`."""
        if self._person is None or output.context is None:
            return None if output.logits else 0.5
        hidden_weight, hidden_bias, weight, bias = self._person
        # einsum runs on one thread; a matrix product would wake BLAS's other threads.
        hidden = np.einsum("ui,i->u", hidden_weight, _one(output.context)) + hidden_bias
        return float(1 / (1 + np.exp(-np.float32(np.maximum(hidden, 0) @ weight + bias[0]))))

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a function; arrays become pointers, floats and ints C's."""
        getattr(self._library, name)(*map(_argument, arguments))


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_float(value) if isinstance(value, float) else value


def _floats(tensor: Tensor) -> Floats:
    """A copy."""
    return np.array(tensor.detach().float().numpy(), order="C")


def _one(maps: Tensor) -> Floats:
    """The maps of the only crop."""
    return np.ascontiguousarray(maps.numpy()[0], np.float32)


def _person_weights(person: PersonClassifier) -> tuple[Floats, Floats, Floats, Floats]:
    """Both layers' weights, with the normalization of contexts in the first."""
    hidden, logit = person.hidden, person.logit
    with torch.no_grad():
        weight = hidden.weight / person.scale
        bias = hidden.bias - weight @ person.mean
    return _floats(weight), _floats(bias), _floats(logit.weight[0]), _floats(logit.bias)


def _create_matchnet(network: PoseNetwork, functions: ctypes.CDLL) -> int:
    config, net = network.config, network.matchnet
    tensors: list[Tensor] = []
    with torch.no_grad():
        for conv in net.tower.layers():
            assert conv.bias is not None
            # (towers * outputs, inputs, k, k) -> (towers, k, k, inputs, outputs)
            blocks = conv.weight.unflatten(0, (net.towers, -1)).permute(0, 3, 4, 2, 1)
            tensors += [blocks, conv.bias]
        tensors += [
            net.patch_weight, net.template_half(), net.second_weight, net.second_bias,
            net.match_weight, net.match_bias, network.match_weight,
        ]  # fmt: skip
    arrays = [_floats(tensor) for tensor in tensors]
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    sizes = np.array(
        [config.window, config.patch, config.templates, net.towers, NUM_JOINTS, *config.tower,
         *config.metric_units], np.int32,
    )  # fmt: skip
    return int(functions.matchnet_create(_argument(sizes), pointers))
