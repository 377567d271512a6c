"""Backends: OpenVINO is equal to torch; the choice of a backend."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core.backends import backend
from depth_pose_ros.core.backends.backend import choose_backend, make_backend
from depth_pose_ros.core.crops import HEIGHT, WIDTH, frame_around
from depth_pose_ros.core.models.config import ModelConfig, compact, paper
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.pose_network import PoseNetwork

CPU = torch.device("cpu")
FRAME = frame_around((0.1, 0.0, 3.0)).as_array()


def _network(base: ModelConfig) -> PoseNetwork:
    """Few channels, and weights that make every term matter."""
    torch.manual_seed(0)
    sizes = {"tower": (4, 6, 8, 8, 5), "metric_units": (7, 6), "templates": 3, "window": 5}
    network = PoseNetwork(replace(base, **sizes)).eval()  # type: ignore[arg-type]
    network.matchnet.templates.uniform_(-1, 1)
    with torch.no_grad():
        network.matchnet.match_weight.normal_()
        network.match_weight.normal_()
        network.gamma.normal_()
        network.temperature.fill_(0.7)
    return network


@pytest.fixture
def crops() -> np.ndarray:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(2, HEIGHT, WIDTH, generator=generator) * 2 - 1).numpy()


CONFIGS = pytest.mark.parametrize(
    "config",
    [
        replace(compact(), person=True),
        replace(compact(), readout="best", displacement=False),
        paper(),
    ],
    ids=["compact", "compact best", "paper"],
)


@CONFIGS
def test_torch_backend_equals_the_network(config: ModelConfig, crops: np.ndarray) -> None:
    network = _network(config)
    frames = np.stack([FRAME, FRAME])
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops)[:, None], torch.from_numpy(frames))
    made = make_backend(network, PersonDetector(DetectorConfig()).eval(), CPU, "torch")
    for one, other in zip(made.poses(crops, frames, "full"), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-3)


@CONFIGS
def test_openvino_equals_torch(config: ModelConfig, crops: np.ndarray) -> None:
    pytest.importorskip("openvino")
    network, detector = _network(config), PersonDetector(DetectorConfig()).eval()
    frames = np.stack([FRAME, FRAME])
    plain, compiled = (make_backend(network, detector, CPU, b) for b in ("torch", "openvino"))
    for one, other in zip(
        compiled.poses(crops, frames, "full"), plain.poses(crops, frames, "full"), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-3)
    for size in ((96, 112), (160, 208), (96, 112)):  # the camera's image size changes
        depth = np.random.default_rng(0).uniform(0, 4, size).astype(np.float32)
        for one, other in zip(compiled.detect(depth), plain.detect(depth), strict=True):
            assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_people_in_parallel_equal_each_alone(threads: int, crops: np.ndarray) -> None:
    pytest.importorskip("openvino")
    network, detector = _network(compact()), PersonDetector(DetectorConfig())
    made = make_backend(network, detector, CPU, "openvino", threads)
    many = np.concatenate((crops, crops[:, :, ::-1], crops[:, ::-1]))
    frames = np.stack([FRAME] * len(many))
    for _ in range(3):  # threads take people in different orders
        together = made.poses(many, frames, "full")
        for i in range(len(many)):
            alone = made.poses(many[i : i + 1], frames[i : i + 1], "full")
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a[i : i + 1], b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_pose_below_min_score_is_empty(backend: str, crops: np.ndarray) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    network, detector = _network(replace(compact(), person=True)), PersonDetector(DetectorConfig())
    made = make_backend(network, detector, CPU, backend, 2)
    many = np.concatenate((crops, crops[:, :, ::-1]))
    frames = np.stack([FRAME] * len(many))
    every = made.poses(many, frames, "full")
    min_scores = every.score.numpy() + np.array((0.01, -0.01, -0.01, 0.01), np.float32)
    some = made.poses(many, frames, "full", min_scores)
    torch.testing.assert_close(some.score, every.score, atol=1e-5, rtol=0)
    for a, b in zip(some, every, strict=True):
        torch.testing.assert_close(a[1:3], b[1:3], atol=1e-4, rtol=1e-4)
    assert some.joints[[0, 3]].isnan().all()
    assert (some.confidence[[0, 3]] == 0).all()
    one = made.poses(many[:1], frames[:1], "full", min_scores[:1])
    assert one.joints.isnan().all()


def test_without_person_classifier_min_score_is_ignored(crops: np.ndarray) -> None:
    made = make_backend(_network(compact()), PersonDetector(DetectorConfig()), CPU, "torch")
    output = made.poses(crops[:1], FRAME[None], "full", np.ones(1, np.float32))
    assert output.joints.isfinite().all()


def test_regressed_maps_score_one_half(crops: np.ndarray) -> None:
    made = make_backend(_network(paper()), PersonDetector(DetectorConfig()), CPU, "torch")
    frames = np.stack([FRAME, FRAME])
    output = made.poses(crops, frames, "full", np.array((0.51, 0.49), np.float32))
    assert output.score.tolist() == [0.5, 0.5]
    assert output.joints[0].isnan().all()
    assert output.joints[1].isfinite().all()


def test_int8_of_other_weights_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from depth_pose_ros.core.backends import int8
    from depth_pose_ros.core.backends.openvino_models import FcnMaps, convert

    torch.manual_seed(0)
    detector = PersonDetector(DetectorConfig()).eval()
    network, other = _network(compact()), _network(compact())
    with torch.no_grad():
        other.fcn.heat.weight.add_(0.1)  # type: ignore[operator,union-attr]
    path = backend.int8_path(tmp_path / "some.safetensors")
    with pytest.raises(int8.Int8Error, match="quantize"):
        make_backend(network, detector, CPU, "openvino-int8", int8=path)
    int8.write(path, convert(FcnMaps(network.fcn), (1, 1, HEIGHT, WIDTH)), network.fcn)
    assert len(int8.read(path, network.fcn).outputs) == 4
    with pytest.raises(int8.Int8Error, match="other weights"):
        make_backend(other, detector, CPU, "openvino-int8", int8=path)
    with pytest.raises(ValueError, match="quantized FCN"):
        make_backend(network, detector, CPU, "openvino-int8")


def test_choose_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(backend, "has_openvino", lambda: True)
    assert choose_backend("auto", CPU) == "openvino"
    assert choose_backend("auto", CPU, has_int8=True) == "openvino-int8"
    assert choose_backend("auto", gpu, has_int8=True) == "torch"
    with pytest.raises(ValueError, match="runs on the CPU"):
        choose_backend("openvino", gpu)
    with pytest.raises(ValueError, match="backend must be one of"):
        choose_backend("abacus", CPU)
    monkeypatch.setattr(backend, "has_openvino", lambda: False)
    assert choose_backend("auto", CPU, has_int8=True) == "torch"
    with pytest.raises(ValueError, match="pip install openvino"):
        choose_backend("openvino-int8", CPU)
    with pytest.raises(ValueError, match="threads"):
        make_backend(_network(compact()), PersonDetector(DetectorConfig()), CPU, "torch", threads=0)


#: Models are destroyed out of order, then a signal arrives.
_SIGNAL = """
import gc, signal
import torch
from depth_pose_ros.core.backends.openvino_models import CompiledModel, convert
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
made = [CompiledModel(convert(torch.nn.ReLU(), (1, 1, 8, 8)), 1) for _ in range(4)]
for _ in range(4):
    made.pop(0)
    gc.collect()
    signal.raise_signal(signal.SIGUSR1)
"""


def test_signals_are_handled_after_models_are_destroyed() -> None:
    pytest.importorskip("openvino")
    done = subprocess.run([sys.executable, "-c", _SIGNAL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["handled"] * 4
