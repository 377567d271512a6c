"""Conversion of torch modules to OpenVINO in memory, and their execution on the CPU."""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from depth_pose_ros.core.backends.backend import Floats
from depth_pose_ros.core.models.detector import PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput

_EXAMPLE_SIZE = 96  # of dynamic dimensions while tracing


class FcnMaps(nn.Module):
    """An FCN that returns a plain tuple: heat, depth and, if it has them, displacement, context."""

    def __init__(self, fcn: nn.Module) -> None:
        super().__init__()
        self.fcn = fcn

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        output: FcnOutput = self.fcn(crops)
        parts = (output.heat, output.depth, output.displacement, output.context)
        return tuple(part for part in parts if part is not None)


def fcn_output(parts: Sequence[Tensor], displacement: bool, logits: bool) -> FcnOutput:
    """The :class:`FcnOutput` of a tuple from :class:`FcnMaps`."""
    heat, depth, *rest = parts
    moves = rest.pop(0) if displacement else None
    return FcnOutput(heat, depth, moves, logits, rest[0] if rest else None)


class DetectorMaps(nn.Module):
    """A detector that returns a plain tuple."""

    def __init__(self, detector: PersonDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, depth: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.detector(depth))


def convert(module: nn.Module, *shapes: tuple[int, ...]) -> ov.Model:
    """A module as an OpenVINO model.

    Args:
        module: in evaluation mode, float32, on the CPU.
        shapes: of its inputs; -1 is a dynamic dimension.
    """
    examples = tuple(torch.zeros([_EXAMPLE_SIZE if n < 0 else n for n in s]) for s in shapes)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of constants
        traced = torch.jit.trace(module, examples, check_trace=False)
        # The front end instead of ov.convert_model, which traces three times and sends telemetry.
        front_end = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=examples)
        model = front_end.convert(front_end.load(decoder))
    model.reshape({i: ov.PartialShape(list(shape)) for i, shape in enumerate(shapes)})
    return model


class CompiledModel:
    """A model compiled for the CPU; one thread at a time may call it.

    Args:
        model: from :func:`convert`.
        threads: number of CPU threads, the calling one among them.
    """

    def __init__(self, model: ov.Model, threads: int) -> None:
        options: dict[str, Any] = {
            # With several streams OpenVINO would hand the work to threads of its own.
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Half precision is no faster without AMX.
            "INFERENCE_PRECISION_HINT": "f32",
            # A pinned thread has to wait while another process uses its core.
            "ENABLE_CPU_PINNING": False,
        }
        self._request = core().compile_model(model, "CPU", options).create_infer_request()
        self._outputs = len(model.outputs)

    def __call__(self, *arrays: Floats) -> list[Tensor]:
        """Outputs in the model's own memory: valid until the next call."""
        inputs = [ov.Tensor(np.ascontiguousarray(a), shared_memory=True) for a in arrays]
        self._request.infer(inputs)
        tensors = (self._request.get_output_tensor(i) for i in range(self._outputs))
        return [torch.from_numpy(tensor.data) for tensor in tensors]


@cache
def core() -> ov.Core:
    """OpenVINO's core, one for the life of the process.

    Its CPU plugin sets the calling thread's signal stack and frees it when the core is destroyed.
    With several cores the thread can be left with a freed stack, and the next signal (Ctrl-C, the
    end of a child process) ends the process with a segmentation fault.
    """
    return ov.Core()
