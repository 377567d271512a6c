"""Algorithm 1 from end to end: its steps, its rounds, and what a stop costs."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from depth_pose_training.commands import algorithm1, compare, finetune, learn_inference
from depth_pose_training.engine.checkpoints import read
from depth_pose_training.engine.distributed import SINGLE_PROCESS
from depth_pose_training.learning import run_folder
from training_helpers.stick_figures import TINY, write_figures

#: The smoke configuration, smaller still.
STEPS = {
    "train_fcn": {"steps": 2, "batch": 2, "checkpoint_every": 2},
    "templates": {"per_part": 6},
    "surface": {"crops": 8},
    "train_matchnet": {"steps": 2, "batch": 2, "checkpoint_every": 2, "validation_crops": 2},
    "learn_inference": {
        "crops": 6, "validation_crops": 3, "steps": 3, "calls": 3, "rounds": 1, "svm_crops": 6,
    },
    "finetune": {"batch": 2, "checkpoint_every": 1, "validation_crops": 2},
    "algorithm1": {"fcn_steps": 1, "matchnet_steps": 1, "tolerance": 0.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("algorithm1")
    write_figures(folder / "train", 8, seed=1)
    write_figures(folder / "val", 4, seed=2)
    (folder / "tiny.json").write_text(TINY.to_json())
    (folder / "steps.yaml").write_text(yaml.safe_dump(STEPS))
    algorithm1.main(command(folder, folder / "run", "--rounds", "2"))
    return folder


def command(folder: Path, run: Path, *more: str) -> list[str]:
    return ["--run", str(run), "--config", str(folder / "tiny.json"), "--threads", "1",
            "--data", str(folder / "train"), "--validation", str(folder / "val"),
            "--config-file", str(folder / "steps.yaml"), "--device", "cpu", *more]  # fmt: skip


def test_every_round_is_a_whole_model(folder: Path) -> None:
    first, second = folder / "run/round_1", folder / "run/round_2"
    for round_ in (first, second):
        run_folder.load_network(round_, TINY, need=finetune.ALL)
    for name in ("checkpoint.pt", "matchnet.pt"):
        old, new = (read(r / name)["model"] for r in (first, second))
        assert any(not torch.equal(old[k], new[k]) for k in old), name
    assert (first / "templates.pt").read_bytes() == (second / "templates.pt").read_bytes()
    # The structured loss was among what the FCN learned by.
    kept = yaml.safe_load((second / "options.yaml").read_text())
    assert kept["finetune"]["parts"] == ["fcn"]
    assert kept["finetune"]["structured"] == 1.0


def test_the_log_says_what_it_converges_by(folder: Path) -> None:
    log = [json.loads(s) for s in (folder / "run" / algorithm1.LOG).read_text().splitlines()]
    assert [entry["round"] for entry in log] == [1, 2]
    for entry in log:
        assert entry["learner"] in learn_inference.LEARNERS
        assert {"fcn_loss", "matchnet_loss", "eqn_2", "eqn_9", "pdj", "error_mm"} <= set(entry)
    assert algorithm1.converged([{"eqn_9": 1.0}, {"eqn_9": 0.99}], 0.02)
    assert not algorithm1.converged([{"eqn_9": 1.0}, {"eqn_9": 0.97}], 0.02)


def test_a_stopped_run_goes_on_where_it_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done is not done again: the steps' modules are not even called."""
    for name in ("train_fcn", "surface", "templates", "train_matchnet", "learn_inference"):
        monkeypatch.setattr(getattr(algorithm1, name), "run", None)
    monkeypatch.setattr(finetune, "run", None)
    algorithm1.main(command(folder, folder / "run", "--rounds", "2"))

    made: list[str] = []

    def fail() -> None:
        raise KeyboardInterrupt

    step = algorithm1.Step("one", lambda: made.append("one"))
    other = folder / "other"
    other.mkdir()
    algorithm1.once(step, other, SINGLE_PROCESS)
    with pytest.raises(KeyboardInterrupt):
        algorithm1.once(algorithm1.Step("two", fail), other, SINGLE_PROCESS)
    algorithm1.once(step, other, SINGLE_PROCESS)
    algorithm1.once(algorithm1.Step("two", lambda: made.append("two")), other, SINGLE_PROCESS)
    assert made == ["one", "two"]


def test_as_printed_the_fcn_goes_on_by_eqn_6_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = algorithm1.arguments().parse_args(
        ["--run", str(folder / "run"), "--data", str(folder / "train"), "--feedback", "0",
         "--validation", str(folder / "val"), "--config", str(folder / "tiny.json")]
    )  # fmt: skip
    called: list[list[str]] = []
    monkeypatch.setattr(algorithm1.train_fcn, "run", lambda args: called.append(args))
    rounds = algorithm1.Rounds(args, None)
    monkeypatch.setattr(rounds, "folder", lambda n: folder / "run/round_1" if n == 1 else tmp_path)
    steps = {step.name: step for step in rounds.steps(2)}
    steps["carry over"].run()
    before = read(folder / "run/round_1/checkpoint.pt")["model"]
    carried = read(tmp_path / "checkpoint.pt")
    assert set(carried) == {"model"}
    assert all(torch.equal(before[k], carried["model"][k]) for k in before)
    steps["fcn"].run()
    assert called[0].out == tmp_path  # type: ignore[attr-defined]


def test_rounds_and_fine_tuning_are_compared_on_the_same_crops(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(folder / f"run/round_{n}") for n in (1, 2)]
    compare.main(["--runs", *runs, "--data", str(folder / "val"), "--limit", "2", "--threads", "1",
                  "--out", str(tmp_path / "numbers.json")])  # fmt: skip
    written = json.loads((tmp_path / "numbers.json").read_text())
    assert list(written) == runs
    shown = capsys.readouterr().out
    for run in runs:
        assert list(written[run]) == ["fcn", "matchnet", "full"]
        assert f"{run}, full" in shown
        assert f"{written[run]['full']['error_mm']:.2f}" in shown
