"""Muon against singular values, and on a network that learns."""

import copy

import pytest
import torch
from torch import nn

from depth_pose_training.engine.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (12, 12)])
def test_orthogonal_keeps_directions_and_levels_their_strengths(shape: tuple[int, int]) -> None:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(noise, full_matrices=False)
    strengths = torch.linspace(0.5, 5.0, min(shape))
    levelled = left.T @ orthogonal(left @ torch.diag(strengths) @ right) @ right.T
    assert torch.allclose(levelled, torch.diag(levelled.diagonal()), atol=1e-4)
    assert levelled.diagonal().min() > 0.6 and levelled.diagonal().max() < 1.3


def test_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(3, 5)), torch.zeros(3, 5))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 2, 1)
    )


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    x = torch.randn((8, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    loss = (model(x) - x[:, :, 2:-2, 2:-2]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def test_a_kernel_moves_alike_in_all_directions_and_the_rest_as_by_adamw() -> None:
    model, other = network(), network()
    before = copy.deepcopy(model.state_dict())
    step(model, Muon(model.parameters(), 1e-2, decay=0.0))
    step(other, torch.optim.AdamW(other.parameters(), 1e-2, weight_decay=0.0))
    kernel = "1.weight"
    move = (model.state_dict()[kernel] - before[kernel]).flatten(1)
    strengths = torch.linalg.svdvals(move) / (1e-2 * 0.2 * 36**0.5)
    assert strengths.min() > 0.6 and strengths.max() < 1.3
    for name, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], value) == (name != kernel), name


def test_a_resumed_optimizer_takes_the_same_steps() -> None:
    model = network()
    optimizer = Muon(model.parameters(), 1e-2, decay=0.01)
    losses = [step(model, optimizer) for _ in range(20)]
    assert losses[-1] < 0.8 * losses[0]
    resumed = network()
    resumed.load_state_dict(model.state_dict())
    again = Muon(resumed.parameters(), 1.0, decay=0.5)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        assert step(model, optimizer) == step(resumed, again)


def test_a_closure_is_called() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = Muon([parameter], 0.1, decay=0.0)

    def closure() -> torch.Tensor:
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert torch.allclose(parameter, torch.full((2,), 0.9))
