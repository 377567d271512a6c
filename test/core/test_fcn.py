"""The fully convolutional networks: the paper's sizes (Fig. 3) and the shared contract."""

import pytest
import torch
from torch import Tensor, nn

from depth_pose_ros.core.crops import HEIGHT, WIDTH
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.fcn import (
    CompactFcn,
    FcnOutput,
    PaperFcn,
    build_fcn,
    heat_probability,
    log_heat,
)

FIG_3 = [
    (96, 109, 89),
    (256, 55, 45),
    (384, 28, 23),
    (384, 28, 23),
    (256, 28, 23),
    (256, 28, 23),
    (256, 28, 23),
    (128, 28, 23),
    (19, 28, 23),
]


def _parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for m in modules for p in m.parameters())


def test_paper_fcn_has_every_size_of_figure_3() -> None:
    fcn = PaperFcn().eval()
    sizes: list[tuple[int, ...]] = []
    kinds: list[type] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # A layer of the figure is a convolution with its ReLU and, where it has one, its pool.
        if isinstance(module, nn.MaxPool2d):
            sizes[-1] = tuple(output.shape[1:])
        else:
            sizes.append(tuple(output.shape[1:]))
        kinds.append(type(module))

    for layer in [*fcn.features, fcn.heat]:
        if not isinstance(layer, nn.ReLU):
            layer.register_forward_hook(record)
    with torch.no_grad():
        fcn(torch.zeros(1, 1, HEIGHT, WIDTH))
    assert sizes == FIG_3
    assert kinds.count(nn.Conv2d) == 9
    assert kinds.count(nn.MaxPool2d) == 3


def test_paper_fcn_has_the_papers_parameters() -> None:
    fcn = PaperFcn()
    kernels = [layer.kernel_size for layer in fcn.features if isinstance(layer, nn.Conv2d)]
    assert kernels == [(k, k) for k in (7, 5, 5, 5, 3, 3, 1, 1)]
    assert fcn.heat.kernel_size == (1, 1)
    assert _parameters(fcn.features, fcn.heat) == 8_340_435
    assert fcn.displacement is None


def test_compact_fcn_is_small_and_finer() -> None:
    fcn = CompactFcn().eval()
    assert 1.0e6 < _parameters(fcn) < 1.5e6
    with torch.no_grad():
        output = fcn(torch.zeros(2, 1, HEIGHT, WIDTH))
    assert output.heat.shape == output.depth.shape == (2, 19, 54, 44)
    assert output.displacement is not None and output.displacement.shape == (2, 54, 54, 44)


@pytest.mark.parametrize("name", ["paper", "compact"])
@pytest.mark.parametrize("displacement", [False, True])
def test_fcns_share_one_output_format(name: str, displacement: bool) -> None:
    fcn = build_fcn(ModelConfig(fcn=name, displacement=displacement)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        output = fcn(torch.rand(1, 1, HEIGHT, WIDTH))
    rows, columns = output.heat.shape[-2:]
    assert (rows - 1) * fcn.stride <= HEIGHT < (rows + 1) * fcn.stride
    assert (columns - 1) * fcn.stride <= WIDTH < (columns + 1) * fcn.stride
    assert (output.displacement is None) != displacement
    probability = heat_probability(output)
    assert torch.allclose(probability.sum((2, 3)), torch.ones(1, 19), atol=1e-4)
    assert torch.isfinite(log_heat(output)).all()


@pytest.mark.parametrize("name", ["paper", "compact"])
def test_cells_are_centred_on_multiples_of_the_stride(name: str) -> None:
    """With box filters, the pixels that a cell sees lie symmetrically round stride * cell."""
    fcn = build_fcn(ModelConfig(fcn=name)).eval()  # type: ignore[arg-type]
    if isinstance(fcn, PaperFcn):
        down = list(fcn.features)[:9]
    else:
        down = [fcn.stem, fcn.down4]
    layers = [
        # A mean has the reach of a maximum and passes gradients to all of it.
        nn.AvgPool2d(m.kernel_size, m.stride, m.padding, m.ceil_mode)
        if isinstance(m, nn.MaxPool2d)
        else m
        for m in down
    ]
    for module in nn.Sequential(*layers).modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    crop = torch.ones(1, 1, HEIGHT, WIDTH, requires_grad=True)
    row, column = 12, 9
    nn.Sequential(*layers)(crop)[0, 0, row, column].backward()
    assert crop.grad is not None
    ys, xs = crop.grad[0, 0].nonzero(as_tuple=True)
    assert int(ys.min() + ys.max()) == 2 * fcn.stride * row
    assert int(xs.min() + xs.max()) == 2 * fcn.stride * column


def test_gaussian_maps_below_zero_are_still_a_distribution() -> None:
    maps = torch.full((1, 19, 4, 5), -0.3)
    maps[0, 0, 2, 3] = 1.0
    output = FcnOutput(maps, torch.zeros_like(maps), None, logits=False)
    probability = heat_probability(output)
    assert probability[0, 0, 2, 3] > 0.99
    assert torch.allclose(probability[0, 1], torch.full((4, 5), 1 / 20))
