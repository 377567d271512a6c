"""The interface of the inference backends, and the choice of one."""

import importlib.util
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage

Floats = NDArray[np.float32]
#: "openvino-int8" has a quantized FCN; "auto" is the fastest that is available.
BackendName = Literal["auto", "torch", "openvino", "openvino-int8"]

INT8_SUFFIX = ".int8.xml"  #: of the quantized FCN's file, in place of the weights file's suffix


class Backend(Protocol):
    """Runs the pose network and the detector; CPU arrays in, CPU tensors out.

    Attributes:
        network: the pose network, on its device.
    """

    network: PoseNetwork

    def fcn(self, crops: Tensor) -> FcnOutput:
        """The FCN for one crop (1, 1, H, W); the maps are valid until the next call."""

    def detect(self, depth: Floats) -> DetectorOutput:
        """The detector's maps, valid until the next call.

        Args:
            depth: (h, w) metres, 0 where missing; h and w are multiples of the detector's.
        """

    def poses(
        self, crops: Floats, frames: Floats, stage: Stage, min_scores: Floats | None = None
    ) -> PoseOutput:
        """Skeletons of B crops; see :meth:`PoseNetwork.forward_maps`.

        Args:
            crops: (B, H, W).
            frames: (B, 4).
            stage: last stage to run.
            min_scores: (B,).
        """


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def int8_path(weights: Path) -> Path:
    """The file of a weights file's quantized FCN, which may not exist."""
    return weights.with_suffix(INT8_SUFFIX)


def choose_backend(name: str, device: torch.device, has_int8: bool = False) -> BackendName:
    """Check a backend's name, and replace "auto".

    Args:
        name: one of :data:`BackendName`; "auto" is OpenVINO on a CPU that has it, else torch.
        device: torch device.
        has_int8: whether there is a quantized FCN.

    Raises:
        ValueError: an unknown name, OpenVINO is not installed, or OpenVINO on a GPU.
    """
    if name not in get_args(BackendName):
        raise ValueError(f"backend must be one of {get_args(BackendName)}, got {name!r}")
    if name == "auto":
        if device.type != "cpu" or not has_openvino():
            return "torch"
        return "openvino-int8" if has_int8 else "openvino"
    if name != "torch" and not has_openvino():
        raise ValueError(f"backend {name} needs OpenVINO: pip install openvino, or use auto")
    if name != "torch" and device.type != "cpu":
        raise ValueError(f"backend {name} runs on the CPU, not on {device}: use torch")
    return cast(BackendName, name)


def make_backend(
    pose: PoseNetwork,
    detector: PersonDetector,
    device: torch.device,
    backend: str = "auto",
    threads: int | None = None,
    int8: Path | None = None,
    flip_test: bool = False,
) -> Backend:
    """A backend for two networks.

    Args:
        pose, detector: in evaluation mode.
        device: torch device.
        backend: one of :data:`BackendName`.
        threads: number of CPU threads; None: torch's current number.  Sets torch's number for the
            whole process.
        int8: file of the quantized FCN (:mod:`depth_pose_ros.core.backends.int8`).
        flip_test: average the FCN's output with that of the flipped crop.

    Raises:
        Int8Error: ``int8`` is needed and missing, or was made from other weights.
        ValueError: as :func:`choose_backend`, or a number of threads below 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    count = threads or torch.get_num_threads()
    chosen = choose_backend(backend, device, has_int8=int8 is not None and int8.is_file())
    # Imported here: OpenVINO is optional, and each backend is loaded only where it is used.
    if chosen != "torch":
        from depth_pose_ros.core.backends.int8 import read
        from depth_pose_ros.core.backends.openvino_backend import OpenVinoBackend

        if threads is not None:
            # torch runs only operations of some ten microseconds: a second thread would cost more.
            torch.set_num_threads(1)
        fcn = None
        if chosen == "openvino-int8":
            if int8 is None:
                raise ValueError("backend openvino-int8 needs the quantized FCN's file")
            fcn = read(int8, pose.fcn)
        return OpenVinoBackend(pose, detector, count, fcn, flip_test)
    torch.set_num_threads(count)
    if device.type == "cuda":
        from depth_pose_ros.core.backends.cuda_backend import CudaBackend

        return CudaBackend(pose, detector, device, flip_test)
    from depth_pose_ros.core.backends.cpu_backend import TorchBackend

    return TorchBackend(pose, detector, count, flip_test)
