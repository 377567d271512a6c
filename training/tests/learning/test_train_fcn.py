"""Batches, losses, the schedule, and the networks' first training steps."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core import crops
from depth_pose_ros.core.models import config as configs
from depth_pose_ros.core.models.detector import DetectorConfig, DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import CompactFcn, FcnOutput, build_fcn
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_ros.core.skeleton import EDGES, FLIP_INDEX
from depth_pose_training.data import augmentation, shards
from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.engine.distributed import SINGLE_PROCESS
from depth_pose_training.engine.schedule import one_cycle
from depth_pose_training.errors import UserError
from depth_pose_training.learning import run_folder, train_detector, train_fcn
from depth_pose_training.learning.losses import FcnLoss, fcn_loss, gaussian_targets, person_loss
from training_helpers.marked_shard import make_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shards.write(tmp_path / "shard_00000.npz", make_shard(4, 0))
    return tmp_path


def test_augmented_joints_still_lie_under_their_marks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "_UNCHANGED", 1.0)  # depths are the labels here
    monkeypatch.setattr(augmentation, "_SECOND_PERSON", 0.0)
    data = CropDataset(folder)
    rng = np.random.default_rng(0)
    flipped = 0
    for _ in range(12):
        batch = data.batch(np.arange(4), rng)
        for b in range(4):
            frame = batch.frames[b].numpy()
            values = {}
            for k in range(19):
                x, y = batch.pixels[b, k].round().int().tolist()
                if batch.weight[b, k] and 0 <= x < 176 and 0 <= y < 216:
                    z = float(batch.crops[b, 0, y, x]) * crops.DEPTH_RANGE + frame[3]
                    values[k] = round((2.5 - z) * 100)
            straight = sum(v == k for k, v in values.items())
            swapped = sum(v == FLIP_INDEX[k] for k, v in values.items())
            # Squares blocked out may hide some, but the side must be the same for all.
            assert max(straight, swapped) >= 8
            flipped += swapped > straight
    assert 10 < flipped < 40


def test_augmentation_keeps_joints_where_their_pixels_look(folder: Path) -> None:
    batch = CropDataset(folder).batch(np.arange(4), np.random.default_rng(1))
    for b in range(4):
        frame = crops.CropFrame(*(float(v) for v in batch.frames[b]))
        np.testing.assert_allclose(
            frame.from_space(batch.joints[b].numpy()), batch.pixels[b].numpy(), atol=0.01
        )


def test_new_shards_join_and_an_epoch_has_each_crop_once(folder: Path) -> None:
    data = CropDataset(folder)
    assert len(data) // 2 == 2
    shards.write(folder / "shard_00001.npz", make_shard(3, 1))
    data.rescan()
    assert len(data) == 7
    assert len(data) // 2 == 3


def test_gaussian_targets_against_the_definition() -> None:
    pixels = torch.rand(2, 19, 2) * 170
    got = gaussian_targets(pixels, torch.Size((54, 44)), 4, 5.0)
    for b, k, i, j in ((0, 0, 3, 7), (1, 18, 50, 40), (0, 5, 20, 20)):
        dx, dy = 4 * j - pixels[b, k, 0], 4 * i - pixels[b, k, 1]
        assert got[b, k, i, j] == pytest.approx(
            float(torch.exp(-(dx**2 + dy**2) / 50)), rel=1e-4, abs=1e-9
        )


@pytest.mark.parametrize("logits", [True, False])
def test_the_truth_has_the_least_loss(folder: Path, logits: bool) -> None:
    batch = CropDataset(folder).batch(np.arange(4))
    target = gaussian_targets(batch.pixels, torch.Size((54, 44)), 4, 5.0)
    parent = [e.parent for e in EDGES]
    child = [e.child for e in EDGES]
    bones = (batch.joints[:, child] - batch.joints[:, parent]).flatten(1)
    depth = (batch.joints[..., 2] - batch.frames[:, None, 3])[..., None, None]
    best = FcnOutput(
        (target + 1e-12).log() if logits else target,
        depth.expand(-1, -1, 54, 44),
        bones[..., None, None].expand(-1, -1, 54, 44),
        logits,
    )
    right = fcn_loss(best, batch, 4, 5.0)
    assert float(right.depth) < 1e-4
    assert float(right.displacement) < 1e-4
    assert float(right.position) < 0.05
    for wrong in (
        best._replace(heat=best.heat.roll(3, -1)),
        best._replace(depth=best.depth + 0.1),
        best._replace(displacement=best.displacement + 0.1),  # type: ignore[operator]
    ):
        assert float(fcn_loss(wrong, batch, 4, 5.0).total) > float(right.total) + 0.05


def test_the_schedule_rises_falls_and_depends_on_the_step_alone() -> None:
    rates = [one_cycle(s, 100, 3e-3) for s in range(101)]
    assert rates[0] == pytest.approx(3e-3 / 25)
    assert max(rates) == pytest.approx(3e-3) == rates[15]
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates == [one_cycle(s, 100, 3e-3) for s in range(101)]


def test_training_learns_writes_and_resumes(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    common = ["--data", str(folder), "--validation", str(folder), "--out", str(out),
              "--batch", "2", "--threads", "1", "--checkpoint-every", "4"]  # fmt: skip
    for steps in (4, 8):  # the second goes on where the first stopped
        train_fcn.main([*common, "--steps", str(steps)])
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [4, 8]
    assert log[1]["loss"] < log[0]["loss"]
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 8


def test_a_deeper_network_begins_as_the_one_it_begins_from(tmp_path: Path) -> None:
    config = replace(configs.compact(), fcn_blocks=1, fcn_up_blocks=1, fcn_fine_blocks=1)
    more = {"fcn_blocks": 3, "fcn_up_blocks": 2, "fcn_fine_blocks": 2}
    small, deep = build_fcn(config), build_fcn(replace(config, **more))
    write_whole(tmp_path / "small.pt", {"model": small.state_dict()})
    train_fcn.begin_from(deep, tmp_path / "small.pt")
    x = torch.randn((1, 1, crops.HEIGHT, crops.WIDTH))
    with torch.no_grad():
        assert torch.equal(small.eval()(x).heat, deep.eval()(x).heat)
    deep(x).heat.square().mean().backward()
    for new in (deep.down16[3], deep.more8[0], deep.more4[0]):
        assert new.norm.weight.grad.abs().max() > 0
    for other in (configs.paper(), replace(config, displacement=False)):
        with pytest.raises(CheckpointError, match="another network"):
            train_fcn.begin_from(build_fcn(other), tmp_path / "small.pt")
    write_whole(tmp_path / "none.pt", {"model": {}})
    with pytest.raises(CheckpointError, match="another network"):
        train_fcn.begin_from(deep, tmp_path / "none.pt")


def test_the_network_learns_to_show_a_head_who_is_a_person(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    negatives = make_shard(4, 1)
    negatives.joints[:] = 0
    (tmp_path / "negatives").mkdir()
    shards.write(tmp_path / "negatives" / "shard_00000.npz", negatives)
    head = PersonClassifier(CompactFcn.contexts)
    write_whole(tmp_path / "person.pt", {"model": head.state_dict()})
    options = ["--data", str(folder), str(tmp_path / "negatives"), "--validation", str(folder)]
    options += ["--out", str(tmp_path / "run"), "--batch", "8", "--checkpoint-every", "8"]
    train_fcn.main([*options, "--person", str(tmp_path / "person.pt"), "--steps", "24"])
    fcn = build_fcn(configs.compact())
    fcn.load_state_dict(read(tmp_path / "run" / "checkpoint.pt")["model"])
    logits = [
        train_fcn._Judged(fcn.train(), train_fcn.read_head(tmp_path / "person.pt"))(
            CropDataset(path).batch(np.arange(4)).crops
        )[1]
        for path in (folder, tmp_path / "negatives")
    ]
    assert logits[0].mean() > logits[1].mean()
    for bad in ({"model": {}}, {}):
        write_whole(tmp_path / "other.pt", bad)
        with pytest.raises(CheckpointError, match="train_person"):
            train_fcn.read_head(tmp_path / "other.pt")
    with pytest.raises(UserError, match="person head"):
        train_fcn.main([*options, "--fcn", "paper", "--person", str(tmp_path / "person.pt")])


def test_nobody_is_a_label_and_no_joint(folder: Path) -> None:
    batch = CropDataset(folder).batch(np.arange(4))
    batch.joints[2:] = 0
    sure = torch.tensor((9.0, 9.0, -9.0, -9.0))
    assert person_loss(sure, batch) < 0.001
    assert person_loss(-sure, batch) > 8


def test_crops_without_background_get_one_and_a_second_person(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured() -> list[float]:
        stream = CropLoader(CropDataset(folder), 4, 0, SINGLE_PROCESS)
        batches = islice(stream.start(None, 0), 5)
        return [float((batch.crops < 1).float().mean()) for batch, _ in batches]

    for name in ("_OCCLUDED", "_BACKGROUND", "_SECOND_PERSON"):
        monkeypatch.setattr(augmentation, name, 0.0)
    alone = measured()
    for name in ("_BACKGROUND", "_SECOND_PERSON"):
        monkeypatch.setattr(augmentation, name, 1.0)
        assert np.mean(measured()) > 1.5 * np.mean(alone)
        monkeypatch.setattr(augmentation, name, 0.0)


def test_the_papers_network_may_start_with_distributions(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--data", str(folder), "--validation", str(folder), "--out", str(tmp_path / "run")]
    options += ["--fcn", "paper", "--low-rank", "--batch", "2", "--checkpoint-every", "1"]
    asked: list[bool] = []

    def loss(output: FcnOutput, batch: Batch, stride: int, sigma: float) -> FcnLoss:
        asked.append(output.logits)
        return fcn_loss(output, batch, stride, sigma)

    monkeypatch.setattr(train_fcn, "fcn_loss", loss)
    for extra in (["--distributions", "--steps", "1"], ["--steps", "2"]):
        train_fcn.main([*options, *extra])
    assert asked == [True, False]


def test_the_finder_learns_and_is_measured(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "detector"
    train_detector.main(
        ["--data", str(folder), "--validation", str(folder), "--out", str(out),
         "--steps", "16", "--batch", "4", "--threads", "1", "--checkpoint-every", "8"],
    )  # fmt: skip
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < log[0]["loss"]
    assert set(log[-1]) >= {"recall", "false_per_frame", "error_mm"}


def test_a_finder_goes_on_from_another(folder: Path, tmp_path: Path) -> None:
    given, taken = PersonDetector(DetectorConfig()), PersonDetector(DetectorConfig())
    start = tmp_path / "detector.pt"
    torch.save({"model": given.state_dict()}, start)
    options = ["--data", str(folder), "--validation", str(folder), "--threads", "1"]
    options += ["--batch", "4", "--steps", "1", "--rate", "1e-6", "--begin-from", str(start)]
    train_detector.main([*options, "--out", str(tmp_path / "more")])
    taken.load_state_dict(read(tmp_path / "more" / "checkpoint.pt")["model"])
    torch.testing.assert_close(taken.head.weight, given.head.weight, atol=1e-4, rtol=0)
    torch.save({"model": {"head.weight": given.head.weight}}, start)
    with pytest.raises(CheckpointError, match="not a detector's checkpoint"):
        run_folder.load_detector(start)


def test_the_finders_loss_prefers_the_truth(folder: Path) -> None:
    data = train_detector.FrameSet(folder)
    batch = data.batch(np.arange(4), 16)
    h, w = batch.depth.shape[1] // 4, batch.depth.shape[2] // 4
    u, v, z = (float(c) for c in batch.centre[0, 0])
    heat = torch.full((4, h, w), -8.0)
    heat[:, round(v / 4), round(u / 4)] = 8.0
    x = u - 4 * torch.arange(w).expand(h, w)
    y = v - 4 * torch.arange(h)[:, None].expand(h, w)
    offset = torch.stack((x, y)).expand(4, -1, -1, -1)
    depth = torch.full((4, h, w), z)
    right = float(train_detector.detector_loss(DetectorOutput(heat, offset, depth), batch, 4))
    assert right < 0.02
    for wrong in (
        DetectorOutput(heat.roll(4, -1), offset, depth),
        DetectorOutput(heat, offset + 3, depth),
        DetectorOutput(heat, offset, depth + 0.3),
    ):
        assert float(train_detector.detector_loss(wrong, batch, 4)) > right + 0.1
