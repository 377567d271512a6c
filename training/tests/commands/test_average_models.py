"""Several runs' networks as one."""

from itertools import islice
from pathlib import Path

import pytest
import torch

from depth_pose_ros.core.models.fcn import CompactFcn, build_fcn
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.loader import CropLoader, LoaderError
from depth_pose_training.engine.checkpoints import CheckpointError, read, write_whole
from depth_pose_training.engine.distributed import SINGLE_PROCESS
from depth_pose_training.errors import UserError
from depth_pose_training.learning import average_models, run_folder
from training_helpers.stick_figures import TINY, write_figures


def networks(folder: Path) -> list[Path]:
    """Checkpoints of two networks of one shape."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(folder / f"{seed}.pt")
        write_whole(made[-1], {"model": build_fcn(TINY).state_dict()})
    return made


def test_the_mean_is_of_parameters_by_weight() -> None:
    states = [{"a": torch.tensor([0.0, 4.0]), "n": torch.tensor(3)}, {"a": torch.tensor([4.0, 0])}]
    states[1]["n"] = torch.tensor(7)
    made = average_models.mean(states, (3, 1))
    assert made["a"].tolist() == [1.0, 3.0] and made["n"] == 3
    with pytest.raises(UserError, match="2 positive numbers"):
        average_models.mean(states, (1.0,))
    with pytest.raises(UserError, match="2 positive numbers"):
        average_models.mean(states, (1.0, 0.0))
    deeper = {"a": torch.tensor([8.0, 8.0]), "b": torch.tensor([2.0]), "n": torch.tensor(5)}
    made = average_models.mean([states[0], deeper], (3, 1))
    assert made["a"].tolist() == [2.0, 5.0] and made["b"].tolist() == [2.0]
    other = {"a": torch.zeros(2), "n": torch.tensor(1), "c": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="different networks"):
        average_models.mean([deeper, other], (1, 1))
    states[1]["a"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match="different networks"):
        average_models.mean(states, (1, 1))


def test_the_command_counts_what_batch_normalization_sees(tmp_path: Path) -> None:
    write_figures(tmp_path / "data", 64)
    (tmp_path / "tiny.json").write_text(TINY.to_json())
    options = ["--data", str(tmp_path / "data"), "--config", str(tmp_path / "tiny.json")]
    options += ["--crops", "64", "--seed", "5", "--threads", "1", "--run", str(tmp_path / "run")]
    average_models.main([*options, "--checkpoints", *map(str, networks(tmp_path))])
    state = read(tmp_path / "run" / run_folder.FCN)["model"]
    fcn = CompactFcn()
    fcn.load_state_dict(state)
    stream = CropLoader(CropDataset(tmp_path / "data"), 32, 5, SINGLE_PROCESS).start(None, 0)
    with torch.no_grad():
        seen = [fcn.stem[0](batch.crops) for batch, _ in islice(stream, 2)]
    expected = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(state["stem.1.running_mean"], expected, atol=1e-4, rtol=1e-3)
    weights = [read(path)["model"]["heat.weight"] for path in networks(tmp_path)]
    torch.testing.assert_close(state["heat.weight"], (weights[0] + weights[1]) / 2)

    plain = [word for word in options if word not in ("--data", str(tmp_path / "data"))]
    average_models.main([*plain, "--checkpoints", *map(str, networks(tmp_path))])
    assert read(tmp_path / "run" / run_folder.FCN)["model"]["stem.1.running_mean"].eq(0).all()

    with pytest.raises(CheckpointError, match="not of the FCN of --config compact"):
        average_models.main(
            [*options, "--config", "compact", "--checkpoints", str(tmp_path / "1.pt")]
        )
    write_figures(tmp_path / "few", 8)
    with pytest.raises(LoaderError, match="8 crops are too few for a batch of 32"):
        average_models.main(
            [*options, "--data", str(tmp_path / "few"), "--checkpoints", str(tmp_path / "1.pt")]
        )
    write_whole(tmp_path / "other.pt", {"templates": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="holds no network"):
        average_models.main([*options, "--checkpoints", str(tmp_path / "other.pt")])
