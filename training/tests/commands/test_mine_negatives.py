"""Negative crops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core.detection import Detection
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_training.data import shards
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.datasets import SyntheticShards
from depth_pose_training.data.people import MATCH_DISTANCE
from depth_pose_training.engine.checkpoints import write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.learning import mine_negatives
from training_helpers.marked_shard import make_shard

_PERSON = np.array((0.1, 0.0, 2.0))  # of make_shard's frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    shards.write(made / "shard_00000.npz", make_shard(4, 0))
    return made


def test_places_are_away_from_people(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finds = [Detection(_PERSON + (0.1, 0, 0), 0.9), Detection(_PERSON + (0.9, 0, 0), 0.3)]
    monkeypatch.setattr(mine_negatives, "detect", lambda *_: finds)
    frame = SyntheticShards(folder)[0]
    detector = PersonDetector(DetectorConfig())
    made = mine_negatives.places(detector, frame, 40, np.random.default_rng(0))
    np.testing.assert_allclose(made[0], finds[1].centre)
    assert len(made) > 20  # the wall behind the person
    assert (np.linalg.norm(made - _PERSON, axis=1) > MATCH_DISTANCE).all()
    for point in made[1:]:
        u, v = np.rint(frame.camera.project(point[None])[0]).astype(int)
        assert frame.depth[v, u] == pytest.approx(point[2], abs=1e-3)
    assert mine_negatives.places(detector, frame, 0, np.random.default_rng(0)).shape == (1, 3)


def test_the_command_writes_crops_without_joints(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_whole(tmp_path / "detector.pt", {"model": PersonDetector(DetectorConfig()).state_dict()})
    out = tmp_path / "negative"
    options = [
        "--detector",
        str(tmp_path / "detector.pt"),
        "--data",
        str(folder),
        "--out",
        str(out),
    ]
    mine_negatives.main([*options, "--anywhere", "3", "--size", "4"])
    made = CropDataset(out)
    assert len(made) >= 4
    assert set(made.modes()) == {"negative"}
    batch = made.batch(np.arange(len(made)), np.random.default_rng(0))
    assert not batch.weight.any()
    assert not batch.joints.any()
    assert (batch.crops < 1).any(-1).any(-1).all()  # something is there
    with pytest.raises(UserError, match="another --out"):
        mine_negatives.main(options)
