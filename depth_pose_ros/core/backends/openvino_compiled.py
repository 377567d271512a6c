"""A compiled model and what runs it."""

from collections.abc import Sequence

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.backends.openvino_models import compile_model

Arrays = Sequence[NDArray[np.float32]]


class CompiledModel:
    """A compiled model with its requests.

    Args:
        model: as :func:`depth_pose_ros.core.backends.openvino_models.convert` gives it.
        threads: for each request.
        requests: how many may run at once; the model is compiled for each.
    """

    def __init__(self, model: ov.Model, threads: int, requests: int = 1) -> None:
        compiled = [compile_model(model, threads) for _ in range(requests)]
        self._requests = [one.create_infer_request() for one in compiled]
        self._inputs: list[list[ov.Tensor]] = [[] for _ in range(requests)]
        self._outputs = len(model.outputs)

    def __call__(self, *arrays: NDArray[np.float32]) -> list[Tensor]:
        """Outputs, which hold until the next call: they are the program's own memory."""
        return self.on(0, *arrays)

    def on(self, request: int, *arrays: NDArray[np.float32]) -> list[Tensor]:
        """As a call, on one of the requests: each may be in use by another thread."""
        self._requests[request].infer(self._shared(request, arrays))
        return self._results(request)

    def start(self, request: int, arrays: Arrays) -> None:
        """Begin on a request; :meth:`finish` waits for it."""
        self._requests[request].start_async(self._shared(request, arrays))

    def finish(self, request: int) -> list[Tensor]:
        """The outputs of a request begun; they hold until it begins anew."""
        self._requests[request].wait()
        return self._results(request)

    def _shared(self, request: int, arrays: Arrays) -> list[ov.Tensor]:
        inputs = [ov.Tensor(np.ascontiguousarray(a), shared_memory=True) for a in arrays]
        self._inputs[request] = inputs  # they must outlive the request
        return inputs

    def _results(self, request: int) -> list[Tensor]:
        tensors = (self._requests[request].get_output_tensor(i) for i in range(self._outputs))
        return [torch.from_numpy(tensor.data) for tensor in tensors]


class Both:
    """A model on all threads, and on as many workers of one thread."""

    def __init__(self, model: ov.Model, threads: int) -> None:
        self.alone = CompiledModel(model, threads)
        self.workers = CompiledModel(model, 1, threads) if threads > 1 else self.alone
