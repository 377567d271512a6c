"""The quantized FCN: an OpenVINO model stored beside the weights that it was made from.

``python -m depth_pose_training quantize`` makes it.
"""

import hashlib
from pathlib import Path

import openvino as ov
from torch import nn

from depth_pose_ros.core.backends.openvino_models import core

_KEY = ["depth_pose_ros", "fingerprint"]


class Int8Error(ValueError):
    """The model is missing or was made from other weights."""


def fingerprint(fcn: nn.Module) -> str:
    """SHA-256 of an FCN's float32 weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(fcn.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write(path: Path, model: ov.Model, fcn: nn.Module) -> None:
    """Store a quantized model with the fingerprint of the FCN that it was made from."""
    model.set_rt_info(fingerprint(fcn), _KEY)
    ov.save_model(model, path, compress_to_fp16=False)


def read(path: Path, fcn: nn.Module) -> ov.Model:
    """The model stored by :func:`write`.

    Args:
        path: the .xml file.
        fcn: the FCN that it must have been made from.

    Raises:
        Int8Error: no such file, or made from another FCN.
    """
    if not path.is_file():
        raise Int8Error(
            f"there is no {path}: make it with `python -m depth_pose_training quantize`, or use "
            "another backend"
        )
    model = core().read_model(path)
    if not model.has_rt_info(_KEY) or model.get_rt_info(_KEY).astype(str) != fingerprint(fcn):
        raise Int8Error(
            f"{path} was made from other weights than those beside it: make it again with "
            "`python -m depth_pose_training quantize`"
        )
    return model
