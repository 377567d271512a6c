"""Algorithm 1 from end to end: steps, rounds, and continuation of an interrupted run."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from depth_pose_training.commands.algorithm1 import main
from depth_pose_training.engine.checkpoints import read
from depth_pose_training.engine.distributed import SINGLE_PROCESS
from depth_pose_training.evaluation import compare
from depth_pose_training.learning import run_folder
from depth_pose_training.structured import algorithm1, finetune, learn_inference
from training_helpers.stick_figures import TINY, write_figures

#: Options of the steps, smaller than those of configs/smoke.yaml.
STEPS = {
    "train_fcn": {"steps": 2, "batch": 2, "checkpoint_every": 2},
    "templates": {"per_part": 6},
    "joint_depth_offset": {"crops": 8},
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
    main(command(folder, folder / "run", "--rounds", "2"))
    return folder


def command(folder: Path, run: Path, *more: str) -> list[str]:
    return ["--run", str(run), "--model", str(folder / "tiny.json"), "--threads", "1",
            "--data", str(folder / "train"), "--validation", str(folder / "val"),
            "--config", str(folder / "steps.yaml"), "--device", "cpu", *more]  # fmt: skip


def test_every_round_writes_a_complete_model(folder: Path) -> None:
    first, second = folder / "run/round_1", folder / "run/round_2"
    for round_ in (first, second):
        run_folder.load_network(round_, TINY, need=finetune.ALL)
    for name in ("checkpoint.pt", "matchnet.pt"):
        old, new = (read(r / name)["model"] for r in (first, second))
        assert any(not torch.equal(old[k], new[k]) for k in old), name
    assert (first / "templates.pt").read_bytes() == (second / "templates.pt").read_bytes()
    # The FCN was trained with the structured loss.
    kept = yaml.safe_load((second / "options.yaml").read_text())
    assert kept["finetune"]["parts"] == ["fcn"]
    assert kept["finetune"]["structured"] == 1.0


def test_log_has_the_convergence_criteria(folder: Path) -> None:
    log = [json.loads(s) for s in (folder / "run" / algorithm1.LOG).read_text().splitlines()]
    assert [entry["round"] for entry in log] == [1, 2]
    for entry in log:
        assert entry["learner"] in learn_inference.LEARNERS
        assert {"fcn_loss", "matchnet_loss", "eqn_2", "eqn_9", "pdj", "error_mm"} <= set(entry)
    assert algorithm1.converged([{"eqn_9": 1.0}, {"eqn_9": 0.99}], 0.02)
    assert not algorithm1.converged([{"eqn_9": 1.0}, {"eqn_9": 0.97}], 0.02)


def test_interrupted_run_continues_without_repeating_steps(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completed steps are not called again."""
    for name in ("train_fcn", "joint_depth_offset", "templates", "train_matchnet"):
        monkeypatch.setattr(getattr(algorithm1, name), "run", None)
    for name in ("finetune", "learn_inference"):
        monkeypatch.setattr(algorithm1, name, None)
    main(command(folder, folder / "run", "--rounds", "2"))

    made: list[str] = []

    def fail() -> None:
        raise KeyboardInterrupt

    step = algorithm1.Step("one", lambda: made.append("one"))
    other = folder / "other"
    other.mkdir()
    algorithm1.run_once(step, other, SINGLE_PROCESS)
    with pytest.raises(KeyboardInterrupt):
        algorithm1.run_once(algorithm1.Step("two", fail), other, SINGLE_PROCESS)
    algorithm1.run_once(step, other, SINGLE_PROCESS)
    algorithm1.run_once(algorithm1.Step("two", lambda: made.append("two")), other, SINGLE_PROCESS)
    assert made == ["one", "two"]


def test_without_feedback_the_fcn_is_trained_with_eqn_6_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = algorithm1.Algorithm1Options(
        run=folder / "run",
        data=(folder / "train",),
        validation=folder / "val",
        model=str(folder / "tiny.json"),
        feedback=0.0,
    )
    called: list[list[str]] = []
    monkeypatch.setattr(algorithm1.train_fcn, "run", lambda args: called.append(args))
    rounds = algorithm1.Rounds(options, None)
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
    written = json.loads((tmp_path / "numbers.json").read_text())["results"]
    assert list(written) == runs
    shown = capsys.readouterr().out
    for run in runs:
        assert list(written[run]) == ["fcn", "matchnet", "full"]
        assert f"{run}, full" in shown
        assert f"{written[run]['full']['error_mm']:.2f}" in shown
