"""The faster convolutions give what torch's give, and their gradients."""

import ctypes
import logging
import shutil
from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.models.fcn import CompactFcn
from depth_pose_training.engine import winograd
from depth_pose_training.engine.winograd import WinogradConv2d

compiled = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")


def layer(inputs: int, outputs: int) -> WinogradConv2d:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
    winograd.use(plain)
    assert isinstance(plain[0], WinogradConv2d)
    return plain[0]


def all_of(conv: nn.Conv2d, x: Tensor, faster: bool) -> list[Tensor]:
    """Output, gradient of the input, gradient of the weights."""
    x = x.clone().requires_grad_()
    y = conv(x) if faster else F.conv2d(x, conv.weight, padding=1)
    generator = torch.Generator().manual_seed(1)
    gradients = torch.autograd.grad(
        y, (x, conv.weight), torch.randn(y.shape, generator=generator).contiguous()
    )
    return [y.detach(), *gradients]


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@compiled
@pytest.mark.parametrize(
    ("shape", "outputs"),
    [
        ((2, 16, 8, 8), 16),
        ((3, 48, 54, 44), 48),
        ((1, 32, 1, 1), 64),  # smaller than a tile
        ((5, 64, 14, 11), 16),  # tiles over the edges
        ((2, 128, 5, 27), 128),
    ],
)
@pytest.mark.parametrize("number", [1, 3])
def test_equal_to_convolution(shape: tuple[int, ...], outputs: int, number: int, threads: None):
    torch.set_num_threads(number)
    conv, x = layer(shape[1], outputs), torch.randn(shape)
    for mine, theirs in zip(all_of(conv, x, True), all_of(conv, x, False), strict=True):
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))


@compiled
def test_the_fcn_learns_the_same():
    torch.manual_seed(2)
    plain = CompactFcn(blocks=1).train()
    faster = deepcopy(plain)
    winograd.use(faster)
    assert sum(isinstance(m, WinogradConv2d) for m in faster.modules()) == 12
    assert faster.state_dict().keys() == plain.state_dict().keys()
    crops = torch.randn(2, 1, 216, 176)
    for fcn in (plain, faster):
        output = fcn(crops.contiguous(memory_format=torch.channels_last))
        (output.heat.log_softmax(1)[:, 0].mean() + output.depth.square().mean()).backward()
    for (name, p), q in zip(plain.named_parameters(), faster.parameters(), strict=True):
        if p.grad is not None and float(p.grad.norm()) > 1e-6:
            assert float((q.grad - p.grad).norm() / p.grad.norm()) < 0.01, name


def test_other_layers_stay():
    others = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1),  # a bias
        nn.Conv2d(16, 16, 3, 2, 1, bias=False),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.Conv2d(16, 24, 3, padding=1, bias=False),
        nn.Conv2d(16, 16, 3, padding=1, groups=2, bias=False),
        nn.Conv2d(16, 16, 3, padding=1, bias=False, padding_mode="reflect"),
    )
    winograd.use(others)
    assert all(type(other) is nn.Conv2d for other in others)


def test_mixed_precision_and_doubles_are_torchs():
    conv, x = layer(16, 16), torch.randn(1, 16, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(x).dtype == torch.bfloat16
    assert conv.double()(x.double()).dtype == torch.float64


def test_without_a_compiler_there_is_one_warning(
    tmp_path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", str(tmp_path / "no_compiler"))
    winograd.library.cache_clear()
    try:
        conv, x = layer(16, 16), torch.randn(2, 16, 9, 9)
        with caplog.at_level(logging.WARNING):
            torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, padding=1))
            conv(x)
        assert [r.message for r in caplog.records if "no_compiler" in r.message] != []
        assert len(caplog.records) == 1
    finally:
        winograd.library.cache_clear()


@compiled
def test_it_is_compiled_once(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    winograd.library.cache_clear()
    try:
        assert isinstance(winograd.library(), ctypes.CDLL)
        (made,) = (tmp_path / "depth_pose_ros").iterdir()
        when = made.stat().st_mtime_ns
        winograd.library.cache_clear()
        assert winograd.library() is not None
        assert made.stat().st_mtime_ns == when
    finally:
        winograd.library.cache_clear()
