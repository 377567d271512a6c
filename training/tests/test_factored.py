"""The factored form of the paper's network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from depth_pose_ros.network.fcn import PaperFcn
from depth_pose_training import factored as command
from depth_pose_training import run_folder, train_fcn
from depth_pose_training.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.factored import FactoredPaperFcn, PositiveNorm


def _with_statistics(displacement: bool) -> FactoredPaperFcn:
    torch.manual_seed(3)
    net = FactoredPaperFcn(displacement)
    for module in net.modules():
        if isinstance(module, PositiveNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return net.eval()


@torch.no_grad()
def test_product_is_the_papers_network_exactly() -> None:
    factored = _with_statistics(displacement=True)
    plain = factored.multiply_out()
    assert type(plain) is PaperFcn
    crop = torch.randn(1, 1, 72, 64)
    ours, theirs = factored(crop), plain(crop)
    assert ours.displacement is not None
    assert theirs.displacement is not None
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_no_displacement_no_head() -> None:
    assert _with_statistics(displacement=False).multiply_out().displacement is None


def test_far_fewer_numbers_to_train() -> None:
    def count(net: nn.Module) -> int:
        return sum(p.numel() for p in net.features.parameters())  # type: ignore[union-attr]

    assert count(FactoredPaperFcn()) < count(PaperFcn()) / 5


def test_a_factored_run_becomes_a_run_of_the_paper(tmp_path: Path) -> None:
    source, run = tmp_path / "factored", tmp_path / "paper"
    net = _with_statistics(displacement=False)
    write_whole(source / run_folder.FCN, {"model": net.state_dict()})
    command.main(["--source", str(source), "--run", str(run)])
    plain = PaperFcn()
    plain.load_state_dict(read(run / run_folder.FCN)["model"])
    with pytest.raises(CheckpointError, match="--factored"):
        command.multiply_out(run)


def test_only_the_papers_network_has_factors() -> None:
    options = ["--fcn", "compact", "--factored", "--data", "x", "--validation", "x", "--out", "x"]
    with pytest.raises(UserError, match="--fcn paper"):
        train_fcn.run(train_fcn.arguments().parse_args(options))
