"""The networks' parts in the shape that OpenVINO runs best, and their conversion in memory."""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.models.detector import PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.matchnet import MatchNet
from depth_pose_ros.core.models.tower import Tower

_EXAMPLE = 96  # a size to trace open sides with


class FcnMaps(nn.Module):
    """An FCN with a plain tuple: heat, depth and, where it has them, displacements and context."""

    def __init__(self, fcn: nn.Module) -> None:
        super().__init__()
        self.fcn = fcn

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        output: FcnOutput = self.fcn(crops)
        parts = (output.heat, output.depth, output.displacement, output.context)
        return tuple(part for part in parts if part is not None)


def fcn_output(parts: Sequence[Tensor], displacement: bool, logits: bool) -> FcnOutput:
    """:class:`FcnMaps`' tuple as what it was made from."""
    others = list(parts[2:])
    moves = others.pop(0) if displacement else None
    return FcnOutput(parts[0], parts[1], moves, logits, others[0] if others else None)


class DetectorMaps(nn.Module):
    """A detector whose maps are a plain tuple."""

    def __init__(self, detector: PersonDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, depth: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.detector(depth))


class PhasedTower(nn.Module):
    """:meth:`Tower.dense` of one region without dilation.

    Every pool of stride 2 runs once for each of the four pixels it may start from; the four
    results, a half of the size each way, go on as a batch.  Libraries have fast kernels for
    plain pools and plain convolutions, and slow ones for dilated pools.
    """

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.convs = tower.convs

    def forward(self, region: Tensor) -> Tensor:
        """(1, parts, h, w), sides multiples of 4 -> (h - 24, w - 24, parts * C)."""
        x = _four_pools(F.relu(self.convs[0](region)))
        x = _four_pools(F.relu(self.convs[1](x)))
        for conv in list(self.convs)[2:]:
            x = F.relu(conv(x))
        x = F.max_pool2d(x, 3, 1)
        # Rows of the batch are (row 2nd, column 2nd, row 1st, column 1st pool's start).
        channels, rows, columns = x.shape[1:]
        x = x.reshape(2, 2, 2, 2, channels, rows, columns).permute(5, 0, 2, 6, 1, 3, 4)
        return x.reshape(4 * rows, 4 * columns, channels)


class SeparateTowers(nn.Module):
    """Some of several independent towers, each as a chain of its own.

    Grouped convolutions of a few channels each run at half of the speed.

    Args:
        tower: with several towers.
        parts: which of them.
    """

    def __init__(self, tower: Tower, parts: slice) -> None:
        super().__init__()
        self.towers = nn.ModuleList(PhasedTower(one) for one in tower.apart()[parts])

    def forward(self, regions: Tensor) -> Tensor:
        """(1, parts, h, w), sides multiples of 4 -> (h - 24, w - 24, parts * C)."""
        return torch.cat([t(regions[:, i : i + 1]) for i, t in enumerate(self.towers)], dim=-1)


class MetricNetwork(nn.Module):
    """What follows the gathering of patches' features, up to the weighted sum of Eqn. 3.

    Args:
        matchnet: whose layers these are.
        weights: (19, T), w_k.
        parts: for which parts.
    """

    def __init__(self, matchnet: MatchNet, weights: Tensor, parts: slice | list[int]) -> None:
        super().__init__()
        layers = {
            "weights": weights,
            "templates": matchnet.template_half(),
            "patch": matchnet.patch_weight,
            "second": matchnet.second_weight,
            "second_bias": matchnet.second_bias,
            "match": matchnet.match_weight,
            "match_bias": matchnet.match_bias,
        }
        for name, tensor in layers.items():
            self.register_buffer(name, tensor.detach()[parts].clone())

    weights: Tensor
    templates: Tensor
    patch: Tensor
    second: Tensor
    second_bias: Tensor
    match: Tensor
    match_bias: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """(parts, n, F) -> (parts, n)."""
        total = torch.zeros(())
        patches = features @ self.patch
        for t in range(self.templates.shape[1]):  # one at a time: its activations stay in cache
            hidden = F.relu(patches + self.templates[:, t, None])
            hidden = F.relu(hidden @ self.second + self.second_bias)
            match = torch.sigmoid(hidden @ self.match + self.match_bias)
            total = total + match[..., 0] * self.weights[:, t, None]
        return total


def convert(module: nn.Module, *shapes: tuple[int, ...]) -> ov.Model:
    """A module as an OpenVINO model.

    Args:
        module: in evaluation mode, float32, on the CPU.
        shapes: of its inputs; a side of -1 stays open.
    """
    examples = tuple(torch.zeros([_EXAMPLE if n < 0 else n for n in shape]) for shape in shapes)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing notes what is constant: it is meant
        traced = torch.jit.trace(module, examples, check_trace=False)
        # The front end itself instead of ov.convert_model: that would trace the module three times
        # and report on its use over the network.
        front_end = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=examples)
        model = front_end.convert(front_end.load(decoder))
    model.reshape({i: ov.PartialShape(list(shape)) for i, shape in enumerate(shapes)})
    return model


def compile_model(model: ov.Model, threads: int) -> ov.CompiledModel:
    """Ready to run one request at a time, on so many threads, the calling one among them."""
    options: dict[str, Any] = {
        # With several streams each would be a thread of its own, which is handed the work, perhaps
        # on a processor that another one is busy on.
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Where half of the precision is no faster, as without AMX, it is only worse.
        "INFERENCE_PRECISION_HINT": "f32",
        # Pinned threads would wait behind another program's on their core.
        "ENABLE_CPU_PINNING": False,
    }
    return core().compile_model(model, "CPU", options)


@cache
def core() -> ov.Core:
    """OpenVINO's core: one for the process, for as long as that lives.

    Its CPU plug-in gives the calling thread another stack for signals and takes it back when it
    goes.  When several come and go they leave the thread a stack that is freed already, and the
    next signal (Ctrl-C, the end of a child) ends the process with a segmentation fault.
    """
    return ov.Core()


def _four_pools(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (4 N, C, h / 2 - 1, w / 2 - 1), 3 x 3 maxima of stride 2 from each start."""
    starts = [(row, column) for row in (0, 1) for column in (0, 1)]
    return torch.cat([F.max_pool2d(x[..., r:, c:], 3, 2) for r, c in starts])
