"""MatchNet's training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.proposals import window_pixels
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine.checkpoints import read
from depth_pose_training.engine.distributed import SINGLE_PROCESS
from depth_pose_training.engine.loop import LoopConfig
from depth_pose_training.learning import run_folder, templates, train_matchnet
from depth_pose_training.learning.strided_matchnet import (
    STEP,
    embed_strided,
    strided_phase,
    strided_proposals,
)
from depth_pose_training.learning.train_matchnet import Match, Settings, match_loss
from training_helpers.stick_figures import TINY, MeanFcn, write_figures

WIDE = replace(TINY, window=17)
ADAMW = Settings("adamw", 1e-2, 4)


def windows(count: int, side: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(count, NUM_JOINTS, 2, generator=generator) * torch.tensor([175.0, 215.0])
    return window_pixels(centres, side, 216, 176)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CropDataset:
    return CropDataset(write_figures(tmp_path_factory.mktemp("data"), 16))


def network(data: CropDataset, config: ModelConfig = WIDE) -> PoseNetwork:
    torch.manual_seed(0)
    made = PoseNetwork(config).eval()
    made.fcn = MeanFcn()  # type: ignore[assignment]
    found, _ = templates.make_templates(data, config.templates, config.patch, 12, seed=0)
    made.matchnet.templates.copy_(found)
    return made


@pytest.mark.parametrize("shared", [True, False])
def test_the_lattice_has_the_features_of_the_dense_tower(shared: bool) -> None:
    config = replace(WIDE, shared_tower=shared)
    matchnet = PoseNetwork(config).matchnet
    crops = torch.rand(2, 1, 216, 176)
    phase = strided_phase(2, matchnet.towers, torch.Generator().manual_seed(1))
    pixels = strided_proposals(windows(2, 17), phase)
    assert pixels.shape == (2, NUM_JOINTS, 16, 2)
    with torch.no_grad():
        expected = matchnet.embed_proposals(crops, pixels)
        found = embed_strided(matchnet, crops, pixels)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("side", [3, 5, 17])
def test_lattices_lie_in_their_windows_and_reach_all_of_them(side: int) -> None:
    generator, all_pixels = torch.Generator().manual_seed(0), windows(3, side)
    seen: set[tuple[int, int]] = set()
    for _ in range(60):
        pixels = strided_proposals(all_pixels, strided_phase(3, 1, generator))
        steps = pixels - pixels[:, :1, :1]
        assert (steps % STEP == 0).all()
        # A window smaller than the strided grid may lie between its pixels.
        reach = max(0, STEP - side)
        assert (pixels >= all_pixels.amin(2, keepdim=True)).all()
        assert (pixels <= all_pixels.amax(2, keepdim=True) + reach).all()
        seen |= {tuple(p) for p in (pixels[0, 0] - all_pixels[0, 0, :1]).tolist()}
    if side == 17:
        assert len(seen) >= 250  # of 289; the last row and column are beyond most phases
    else:
        assert len(seen) == STEP**2


def test_proposals_off_the_lattice_are_refused() -> None:
    matchnet = PoseNetwork(WIDE).matchnet
    pixels = torch.zeros(1, NUM_JOINTS, 2, 2, dtype=torch.long) + 50
    pixels[0, 0, 0, 0] += 1
    with pytest.raises(ValueError, match="4 pixels apart"):
        embed_strided(matchnet, torch.zeros(1, 1, 216, 176), pixels)


def test_matches_have_their_share_of_the_loss() -> None:
    labels = torch.zeros(1, 2, 10, dtype=torch.bool)
    labels[0, 0, 0] = True
    logits = torch.full((1, 2, 10, 3), -2.0)
    weight = torch.ones(1, 2)
    no, yes = float(np.log1p(np.exp(-2.0))), float(np.log1p(np.exp(2.0)))
    for share in (0.0, 0.25, 1.0):
        found = float(match_loss(logits, labels, weight, share))
        assert found == pytest.approx(share * yes + (1 - share) * no, abs=1e-5)
    # A joint that cannot be asked for has no say.
    assert float(match_loss(logits, labels, torch.tensor([[0.0, 1.0]]), 1.0)) == 0.0


def test_matchnet_learns_to_tell_proposals_apart(data: CropDataset) -> None:
    model = network(data)
    before = train_matchnet.validate(model, data, limit=4)
    batch, generator = data.batch(np.arange(8)), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.matchnet.parameters(), 1e-2)
    model.matchnet.train()
    match = Match(model.matchnet)
    for _ in range(40):
        phase = strided_phase(8, 1, generator)
        cast = SINGLE_PROCESS.autocast("fp32")
        loss = train_matchnet.training_loss(model, match, batch, 0.5, phase, cast)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = train_matchnet.validate(model, data, limit=4)
    assert after["auc"] > max(0.85, before["auc"])
    assert after["match_px"] < after["fcn_px"]
    assert after["nearest_px"] <= after["match_px"]


def test_training_resumes_where_it_stopped(data: CropDataset, tmp_path: Path) -> None:
    def steps(count: int, total: int) -> dict:
        model = network(data)
        loader, loop_config = (
            CropLoader(data, 4, 0, SINGLE_PROCESS),
            LoopConfig(total, 2, ADAMW.rate, stop=count),
        )
        train_matchnet.train(model, loader, data, ADAMW, loop_config, tmp_path, seed=0, limit=2)
        return read(tmp_path / run_folder.MATCHNET)

    assert steps(2, 4)["step"] == 2
    resumed = steps(4, 4)
    assert resumed["step"] == 4
    log = [json.loads(line) for line in (tmp_path / "matchnet.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [2, 4]
    # Nothing is left to do.
    weights = steps(4, 4)["model"]
    assert all(torch.equal(weights[k], resumed["model"][k]) for k in weights)


def test_the_papers_optimizer_is_its_sgd(data: CropDataset, tmp_path: Path) -> None:
    assert (train_matchnet.PAPER.rate, train_matchnet.PAPER.batch) == (0.1, 20)
    settings = replace(train_matchnet.PAPER, batch=2)
    loader, loop_config = CropLoader(data, 2, 0, SINGLE_PROCESS), LoopConfig(1, 1, settings.rate)
    train_matchnet.train(
        network(data), loader, data, settings, loop_config, tmp_path, seed=0, limit=2
    )
    (group,) = read(tmp_path / run_folder.MATCHNET)["optimizer"]["param_groups"]
    assert (group["momentum"], group["weight_decay"]) == (0.9, 0.0005)


def test_a_missing_step_is_named(tmp_path: Path, data: CropDataset) -> None:
    with pytest.raises(run_folder.RunError, match=r"checkpoint\.pt is missing"):
        train_matchnet.main(
            ["--run", str(tmp_path), "--data", str(tmp_path), "--validation", str(tmp_path)]
        )
