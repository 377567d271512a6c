"""The compiled code: equal to torch, for every kind of processor that this one is."""

import ctypes
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core.backends.backend import make_backend
from depth_pose_ros.core.backends.native import NativeMatchNet, NativeTreeInference, fits, library
from depth_pose_ros.core.backends.native.loading import SWITCH, built, choose, declared, features
from depth_pose_ros.core.crops import HEIGHT, WIDTH, frame_around
from depth_pose_ros.core.models.config import ModelConfig, compact, paper
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.pairwise import deformation
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.proposals import window_pixels
from depth_pose_ros.core.models.tree_inference import max_sum, sum_product
from depth_pose_ros.core.skeleton import EDGES

RUNNABLE = [p for p in built() if choose([p], features()) is not None]
SMALL = replace(compact(), templates=3)


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_it_is_built_and_for_this_processor() -> None:
    assert RUNNABLE, "run `make setup`"
    assert library() is not None


@pytest.fixture(params=RUNNABLE, ids=lambda path: path.name.split(".")[0])
def functions(request: pytest.FixtureRequest) -> ctypes.CDLL:
    return declared(ctypes.CDLL(str(request.param)))


def network(config: ModelConfig) -> PoseNetwork:
    """Weights that make every term matter."""
    torch.manual_seed(0)
    made = PoseNetwork(config).eval()
    made.matchnet.templates.uniform_(-1, 1)
    with torch.no_grad():
        for name, tensor in made.matchnet.named_parameters():
            if "bias" in name:
                tensor.normal_(0, 0.1)
        made.matchnet.match_weight.normal_()
        made.match_weight.normal_()
        made.gamma.normal_()
        made.temperature.fill_(0.7)
    return made


@pytest.mark.parametrize("window", [17, 9, 5, 1])
def test_matchnet_equals_torchs(functions: ctypes.CDLL, window: int) -> None:
    net = network(replace(SMALL, window=window))
    native = NativeMatchNet(net, functions, workers=2)
    crop = torch.rand(1, 1, HEIGHT, WIDTH) * 2 - 1
    corners = torch.tensor([(0.0, 0.0), (WIDTH, 0.0), (0.0, HEIGHT), (WIDTH, HEIGHT)])
    places = torch.rand(19, 2) * torch.tensor([WIDTH, HEIGHT])
    places[:4] = corners
    pixels = window_pixels(places[None], window, HEIGHT, WIDTH)
    with torch.inference_mode():
        expected = net.appearance(crop, pixels)[0]
        assert expected.std() > 0.01
        result = torch.full_like(expected, torch.nan)
        for worker, parts in enumerate(([4], [0, 7, 12])):  # small regions, and large ones
            native.fill(worker, parts, crop[0, 0], pixels[0], result)
            torch.testing.assert_close(result[parts], expected[parts], atol=1e-4, rtol=1e-4)
        assert result[1].isnan().all()
        native.fill(0, range(19), crop[0, 0], pixels[0], result)
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("readout", ["marginals", "best"])
@pytest.mark.parametrize("window", [17, 3])
def test_the_programme_equals_torchs(functions: ctypes.CDLL, readout: str, window: int) -> None:
    net = network(replace(SMALL, readout=readout, window=window))
    native, count = NativeTreeInference(net, functions, workers=1), window**2
    for spread in (0.1, 3.0, 200.0):  # nobody sure, everybody sure
        unary = torch.randn(19, count) * spread
        anchors, children = (torch.rand(18, count, 3) + torch.tensor((0.0, 1.0, 3.0)) for _ in "ac")
        found = native(0, unary, anchors, children)
        terms = deformation(anchors[None], children[None], net.gamma)
        if readout == "best":
            choice = max_sum(unary[None], terms, EDGES)[1][0]
            assert torch.equal(found.argmax(-1), choice)
            assert torch.equal(found.sum(-1), torch.ones(19))
            continue
        # In double precision: of scores of thousands, what two programs round off adds up.
        exact = [t.double() for t in (unary, anchors, children, net.gamma, net.temperature)]
        unary, anchors, children, gamma, temperature = exact
        terms = deformation(anchors[None], children[None], gamma)
        expected = sum_product(unary[None], terms, EDGES, temperature)[1][0].float()
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-3)


def test_which_networks_it_fits() -> None:
    assert fits(compact())
    assert not fits(paper())
    assert not fits(replace(compact(), metric_units=(64, 64)))


@pytest.mark.parametrize(
    ("able", "kind"),
    [
        ({"sse2", "avx2", "fma"}, "avx2"),
        ({"avx2", "fma", "avx512f", "avx512vl", "avx512bw", "avx512dq"}, "avx512"),
        ({"sse2"}, None),
    ],
)
def test_the_choice_by_processor(able: set[str], kind: str | None) -> None:
    files = [Path(f"_{name}.cpython-312-x86_64-linux-gnu.so") for name in ("avx2", "avx512")]
    found = choose(files, able)
    assert (None if found is None else found.name.split(".")[0]) == (kind and f"_{kind}")
    assert choose([], able) is None


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, person=True),
        replace(SMALL, readout="best", displacement=False),
        replace(SMALL, heat_unary=False),
    ],
    ids=["person", "best", "plain unary"],
)
def test_whole_skeletons_with_and_without(
    backend: str, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    net, detector = network(config), PersonDetector(DetectorConfig()).eval()
    net.joint_depth_offset.uniform_(0, 0.2)
    net.joint_depth_gate.fill_(0.6)
    net.calibration.copy_(torch.tensor((1.3, -0.2)).repeat(19, 1))
    if net.person is not None:
        net.person.mean.normal_()
        net.person.scale.uniform_(1, 2)
    crops = np.random.default_rng(0).uniform(-1.2, 1.2, (3, HEIGHT, WIDTH)).clip(-1, 1)
    crops = crops.astype(np.float32)
    crops[2, :, 60:] = 1.0  # nothing there
    frames = np.stack([frame_around((0.1, 0.0, 3.0)).as_array()] * len(crops))
    results = []
    for switch in ("0", "1"):
        monkeypatch.setenv(SWITCH, switch)
        assert (library() is None) == (switch == "0")
        runtime = make_backend(net, detector, torch.device("cpu"), backend, 2)
        together = runtime.poses(crops, frames, "full")
        alone = runtime.poses(crops[:1], frames[:1], "full")
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[:1], b, atol=1e-3, rtol=1e-3)
        least = together.score.numpy() + np.array((0.01, -0.01, 0.01), np.float32)
        some = runtime.poses(crops, frames, "full", least)
        results.append((together, some))
    for (a, b), (c, d) in zip(
        zip(*results[0], strict=True), zip(*results[1], strict=True), strict=True
    ):
        torch.testing.assert_close(a, c, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(b, d, atol=1e-3, rtol=1e-3, equal_nan=True)
    assert results[1][1].joints[1].isfinite().all()
    assert results[1][1].joints[0].isnan().all() == config.person
