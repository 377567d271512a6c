"""The compiled code is equal to torch for every instruction set of this CPU."""

import ctypes
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core.backends.backend import make_backend
from depth_pose_ros.core.backends.native.binding import (
    ENVIRONMENT_SWITCH,
    NativePipeline,
    built,
    choose,
    cpu_features,
    library,
)
from depth_pose_ros.core.crops import HEIGHT, WIDTH, frame_around
from depth_pose_ros.core.models.config import ModelConfig, compact, paper
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.pairwise import deformation
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.proposals import window_pixels
from depth_pose_ros.core.models.tree_inference import max_sum, sum_product
from depth_pose_ros.core.skeleton import EDGES

RUNNABLE = [p for p in built() if choose([p], cpu_features()) is not None]
COMPACT = replace(compact(), templates=3)
PAPER = replace(paper(), templates=2)
#: No width is a multiple of a vector's; other patches, 64 = 8 x 8 features.
ODD = replace(
    compact(), name="odd", tower=(3, 5, 9, 17, 6), metric_units=(7, 11), templates=1, patch=64,
    shared_tower=False, readout="best", displacement=False,
)  # fmt: skip


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_library_is_built_for_this_cpu() -> None:
    assert RUNNABLE, "run `make setup`"
    assert library() is not None


@pytest.fixture(params=RUNNABLE, ids=lambda path: path.name.split(".")[0])
def functions(request: pytest.FixtureRequest) -> ctypes.CDLL:
    return ctypes.CDLL(str(request.param))


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


@pytest.mark.parametrize(
    ("config", "window"),
    [*((COMPACT, w) for w in (17, 9, 5, 1)), (PAPER, 17), (PAPER, 1), (ODD, 9), (ODD, 5)],
    ids=lambda value: getattr(value, "name", value),
)
def test_matchnet_equals_torch(functions: ctypes.CDLL, config: ModelConfig, window: int) -> None:
    net = network(replace(config, window=window))
    native = NativePipeline(net, functions)
    crop = torch.rand(1, 1, HEIGHT, WIDTH) * 2 - 1
    corners = torch.tensor([(0.0, 0.0), (WIDTH, 0.0), (0.0, HEIGHT), (WIDTH, HEIGHT)])
    centers = torch.rand(19, 2) * torch.tensor([WIDTH, HEIGHT])
    centers[:4] = corners
    pixels = window_pixels(centers[None], window, HEIGHT, WIDTH)
    image, starts = crop[0, 0].numpy(), np.ascontiguousarray(pixels[0, :, 0].numpy())
    with torch.inference_mode():
        expected = net.appearance(crop, pixels)[0]
    assert expected.std() > 0.01
    result = np.full(expected.shape, np.nan, np.float32)
    for parts in ([4], [0, 7, 12]):  # small regions and large ones
        native.matchnet(image, starts, result, parts)
        torch.testing.assert_close(
            torch.from_numpy(result)[parts], expected[parts], atol=1e-4, rtol=1e-4
        )
    assert np.isnan(result[1]).all()
    native.matchnet(image, starts, result, range(19))
    torch.testing.assert_close(torch.from_numpy(result), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("readout", ["marginals", "best"])
@pytest.mark.parametrize("window", [17, 3])
def test_tree_inference_equals_torch(functions: ctypes.CDLL, readout: str, window: int) -> None:
    net = network(replace(COMPACT, readout=readout, window=window))
    native, count = NativePipeline(net, functions), window**2
    for spread in (0.1, 3.0, 200.0):  # flat and peaked marginals
        unary = torch.randn(19, count) * spread
        anchors, points = (
            torch.rand(n, count, 3) + torch.tensor((0.0, 1.0, 3.0)) for n in (18, 19)
        )
        weights = native.tree_inference(unary.numpy(), anchors.numpy(), points.numpy())
        found, children = torch.from_numpy(weights), points[[edge.child for edge in EDGES]]
        terms = deformation(anchors[None], children[None], net.gamma)
        if readout == "best":
            choice = max_sum(unary[None], terms, EDGES)[1][0]
            assert torch.equal(found.argmax(-1), choice)
            assert torch.equal(found.sum(-1), torch.ones(19))
            continue
        # In double precision: with scores of thousands rounding errors add up.
        exact = [t.double() for t in (unary, anchors, children, net.gamma, net.temperature)]
        unary, anchors, children, gamma, temperature = exact
        terms = deformation(anchors[None], children[None], gamma)
        expected = sum_product(unary[None], terms, EDGES, temperature)[1][0].float()
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"sse2", "avx2", "fma"}, "_avx2"),
        ({"avx2", "fma", "avx512f", "avx512vl", "avx512bw", "avx512dq"}, "_avx512"),
        ({"sse2"}, "_generic"),
    ],
)
def test_instruction_set_is_the_fastest_of_the_cpu(features: set[str], expected: str) -> None:
    names = ("avx2", "avx512", "generic")
    files = [Path(f"_{name}.cpython-312-x86_64-linux-gnu.so") for name in names]
    chosen = choose(files, features)
    assert chosen is not None
    assert chosen.name.split(".")[0] == expected
    assert choose([], features) is None


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize(
    "config",
    [
        replace(COMPACT, person=True),
        replace(COMPACT, readout="best", displacement=False),
        replace(COMPACT, heat_unary=False),
        replace(PAPER, window=5),
        ODD,
    ],
    ids=["person", "best", "plain unary", "paper", "odd"],
)
def test_skeletons_with_and_without_compiled_code(
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
    crops[2, :, 60:] = 1.0  # empty
    frames = np.stack([frame_around((0.1, 0.0, 3.0)).as_array()] * len(crops))
    results = []
    for switch in ("0", "1"):
        monkeypatch.setenv(ENVIRONMENT_SWITCH, switch)
        assert (library() is None) == (switch == "0")
        made = make_backend(net, detector, torch.device("cpu"), backend, 2)
        together = made.poses(crops, frames, "full")
        alone = made.poses(crops[:1], frames[:1], "full")
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[:1], b, atol=1e-3, rtol=1e-3)
        min_scores = together.score.numpy() + np.array((0.01, -0.01, 0.01), np.float32)
        some = made.poses(crops, frames, "full", min_scores)
        results.append((together, some))
    for (a, b), (c, d) in zip(
        zip(*results[0], strict=True), zip(*results[1], strict=True), strict=True
    ):
        torch.testing.assert_close(a, c, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(b, d, atol=1e-3, rtol=1e-3, equal_nan=True)
    assert results[1][1].joints[1].isfinite().all()
    known_before_inference = config.person or config.fcn == "paper"
    assert results[1][1].joints[0].isnan().all() == known_before_inference
