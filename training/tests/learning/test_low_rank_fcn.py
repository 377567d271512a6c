"""The low-rank form of the paper's network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from depth_pose_ros.core.models import config as configs
from depth_pose_ros.core.models.fcn import CompactFcn, PaperFcn
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.learning import factorize_fcn, run_folder, train_fcn
from depth_pose_training.learning import multiply_out_fcn as command
from depth_pose_training.learning.low_rank_fcn import LowRankPaperFcn, PositiveNorm
from training_helpers.stick_figures import write_figures


def _with_statistics(displacement: bool) -> LowRankPaperFcn:
    torch.manual_seed(3)
    net = LowRankPaperFcn(displacement)
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
    low_rank = _with_statistics(displacement=True)
    plain = low_rank.multiply_out()
    assert type(plain) is PaperFcn
    crop = torch.randn(1, 1, 72, 64)
    ours, theirs = low_rank(crop), plain(crop)
    assert ours.displacement is not None
    assert theirs.displacement is not None
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_no_displacement_no_head() -> None:
    assert _with_statistics(displacement=False).multiply_out().displacement is None


def test_far_fewer_numbers_to_train() -> None:
    def count(net: nn.Module) -> int:
        return sum(p.numel() for p in net.features.parameters())  # type: ignore[union-attr]

    assert count(LowRankPaperFcn()) < count(PaperFcn()) / 5


def test_a_factored_run_becomes_a_run_of_the_paper(tmp_path: Path) -> None:
    source, run = tmp_path / "low_rank", tmp_path / "paper"
    net = _with_statistics(displacement=False)
    write_whole(source / run_folder.FCN, {"model": net.state_dict()})
    command.main(["--source", str(source), "--run", str(run)])
    plain = PaperFcn()
    plain.load_state_dict(read(run / run_folder.FCN)["model"])
    with pytest.raises(CheckpointError, match="--low-rank"):
        command.multiply_out(run)


@torch.no_grad()
def test_other_steps_take_the_factors_as_they_are(tmp_path: Path) -> None:
    net = _with_statistics(displacement=False)
    write_whole(tmp_path / run_folder.FCN, {"model": net.state_dict()})
    network = run_folder.load_network(tmp_path, configs.paper())
    assert type(network.fcn) is LowRankPaperFcn
    crop = torch.randn(1, 1, 72, 64)
    ours = network.fcn(crop).heat
    assert torch.equal(ours, net(crop).heat)
    plain = run_folder.multiplied_out(network).fcn
    assert type(plain) is PaperFcn
    torch.testing.assert_close(plain(crop).heat, ours, rtol=1e-3, atol=1e-4)
    assert run_folder.multiplied_out(network).fcn is plain
    with pytest.raises(run_folder.RunError, match="do not fit"):
        run_folder.load_network(tmp_path, configs.compact())


def test_only_the_papers_network_has_factors() -> None:
    options = ["--fcn", "compact", "--low-rank", "--data", "x", "--validation", "x", "--out", "x"]
    with pytest.raises(UserError, match="--fcn paper"):
        train_fcn.run(train_fcn.arguments().parse_args(options))


@torch.no_grad()
def test_factorization_inverts_multiply_out() -> None:
    plain = _with_statistics(displacement=True).multiply_out()
    crops = torch.randn(4, 1, 72, 64)
    again, kept = factorize_fcn.factor(plain, crops)
    assert kept == pytest.approx(1, abs=1e-5)
    for a, b in zip(plain(crops)[:3], again(crops)[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    # Statistics are those of the crops: learning goes on where it was.
    for a, b in zip(again(crops)[:3], again.train()(crops)[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)


@torch.no_grad()
def test_a_cut_keeps_the_strongest_directions() -> None:
    torch.manual_seed(0)
    kernel = torch.randn(20, 14, 3, 3)
    kernel[:, 0] *= 5  # one input and one output matter most
    kernel[7] *= 5
    whole = kernel.square().sum()
    kept = []
    for rank in (1, 4, 14):
        up, middle, down = factorize_fcn.cut(kernel, rank)
        torch.testing.assert_close(up.T @ up, torch.eye(rank), rtol=0, atol=1e-5)
        torch.testing.assert_close(down @ down.T, torch.eye(rank), rtol=0, atol=1e-5)
        product = torch.einsum("or,rsyx,si->oiyx", up, middle, down)
        kept.append(float(1 - (product - kernel).square().sum() / whole))
    assert kept[0] > 0.15
    assert kept == sorted(kept)


def test_a_run_of_the_paper_becomes_a_factored_one(tmp_path: Path) -> None:
    torch.manual_seed(1)
    data, plain, source = tmp_path / "data", PaperFcn(), tmp_path / "paper"
    write_figures(data, 6)
    options = ["--source", str(source), "--run", str(tmp_path / "low_rank"), "--data", str(data)]
    with pytest.raises(FileNotFoundError):
        factorize_fcn.main(options)
    write_whole(source / run_folder.FCN, {"model": plain.state_dict()})
    factorize_fcn.main(options)
    LowRankPaperFcn().load_state_dict(read(tmp_path / "low_rank" / run_folder.FCN)["model"])
    write_whole(source / run_folder.FCN, {"model": CompactFcn().state_dict()})
    with pytest.raises(CheckpointError, match="paper's network"):
        factorize_fcn.main(options)
