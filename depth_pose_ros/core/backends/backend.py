"""The choice of a runtime, behind one option."""

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
from depth_pose_ros.core.models.pose_network import KernelOverrides, PoseNetwork, Stage

#: "openvino-int8" has the FCN in whole numbers; "auto" takes what is fastest here.
Backend = Literal["auto", "torch", "openvino", "openvino-int8"]

INT8_SUFFIX = ".int8.xml"  #: of an FCN in whole numbers, in place of the weights file's own


class Runtime(Protocol):
    """Runs both networks; arrays of the CPU in, tensors of the CPU out.

    Attributes:
        network: the pose network, where it runs.
        programs: what replaces some of its steps, if anything.
    """

    network: PoseNetwork
    programs: KernelOverrides | None

    def fcn(self, crops: Tensor) -> FcnOutput:
        """The network's FCN for one crop (1, 1, H, W); the maps hold until the next call."""

    def find(self, depth: NDArray[np.float32]) -> DetectorOutput:
        """(h, w) metres, 0 where missing, sides of the detector's multiple -> maps of a batch of one.

        They hold until the next call.
        """

    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """(B, H, W) crops, (B, 4) frames and (B,) lowest scores -> B skeletons.

        See :meth:`PoseNetwork.complete`.
        """


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def int8_beside(weights: Path) -> Path:
    """Where the whole-number FCN of a weights file lies, if there is one (with a .bin)."""
    return weights.with_suffix(INT8_SUFFIX)


def choose_backend(name: str, device: torch.device, has_int8: bool = False) -> Backend:
    """The backend of that name; "auto" is OpenVINO on a CPU where it is installed, else torch.

    Args:
        name: one of :data:`Backend`.
        device: where torch runs.
        has_int8: whether there is an FCN in whole numbers.

    Raises:
        ValueError: an unknown name, OpenVINO without its package, or OpenVINO for a GPU.
    """
    if name not in get_args(Backend):
        raise ValueError(f"backend must be one of {get_args(Backend)}, got {name!r}")
    if name == "auto":
        if device.type != "cpu" or not has_openvino():
            return "torch"
        return "openvino-int8" if has_int8 else "openvino"
    if name != "torch" and not has_openvino():
        raise ValueError(f"backend {name} needs OpenVINO: pip install openvino, or use auto")
    if name != "torch" and device.type != "cpu":
        raise ValueError(f"backend {name} runs on the CPU, not on {device}: use torch")
    return cast(Backend, name)


def make_backend(
    pose: PoseNetwork,
    detector: PersonDetector,
    device: torch.device,
    backend: str = "auto",
    threads: int | None = None,
    int8: Path | None = None,
    mirror: bool = False,
) -> Runtime:
    """A runtime for two networks.

    Args:
        pose, detector: in evaluation mode.
        device: where torch runs.
        backend: one of :data:`Backend`.
        threads: how many processor threads may work; None leaves torch's number as it is.  Sets
            torch's for the whole process.
        int8: the FCN in whole numbers (:mod:`depth_pose_ros.core.backends.int8`), if there is one.
        mirror: whether the FCN looks at every crop a second time, in the mirror.

    Raises:
        Int8Error: ``int8`` is needed and missing, or of other weights.
        ValueError: as :func:`choose_backend`, or a number of threads below 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    workers = threads or torch.get_num_threads()
    chosen = choose_backend(backend, device, has_int8=int8 is not None and int8.is_file())
    if chosen != "torch":
        # Imported here: OpenVINO is optional.
        from depth_pose_ros.core.backends.int8 import read
        from depth_pose_ros.core.backends.openvino_backend import OpenVinoRuntime

        if threads is not None:
            # What is left to torch are steps of some ten microseconds: waking another thread for
            # them takes longer.
            torch.set_num_threads(1)
        fcn = None
        if chosen == "openvino-int8":
            if int8 is None:
                raise ValueError("backend openvino-int8 needs a weights file with one beside it")
            fcn = read(int8, pose.fcn)
        return OpenVinoRuntime(pose, detector, workers, fcn, mirror)
    from depth_pose_ros.core.backends.torch_backend import TorchRuntime

    torch.set_num_threads(workers)
    return TorchRuntime(pose, detector, device, mirror)
