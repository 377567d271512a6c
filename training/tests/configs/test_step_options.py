"""YAML options: what is read, what is refused, and what is kept."""

import argparse
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from depth_pose_ros.core.models.config import ConfigError
from depth_pose_ros.core.weights import WeightsError
from depth_pose_training.__main__ import main as run_step
from depth_pose_training.engine import step_options
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation import compare
from depth_pose_training.learning import (
    export_weights,
    import_weights,
    joint_depth_offset,
    templates,
    train_detector,
    train_fcn,
    train_matchnet,
)

MODULES = {
    m.__name__.rsplit(".", 1)[1]: m
    for m in (
        export_weights,
        compare,
        joint_depth_offset,
        templates,
        train_fcn,
        train_detector,
        train_matchnet,
        import_weights,
    )
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("--data", type=Path, nargs="+", required=True)
    made.add_argument("--rate", type=float, default=0.5)
    made.add_argument("--steps", type=int, default=3)
    made.add_argument("--fcn", choices=("compact", "paper"), default="compact")
    made.add_argument("--clip", action="store_true")
    made.add_argument("--checkpoint-every", type=int, default=2)
    return made


def parse(tmp_path: Path, text: str, *argv: str) -> argparse.Namespace:
    path = tmp_path / "step_options.yaml"
    path.write_text(text)
    return step_options.parse(parser(), "train_fcn", [*argv, "--config-file", str(path)])


def test_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    text = (
        "train_fcn: {data: a, rate: 1e-3, checkpoint-every: 7, clip: true}\n"
        "joint_depth_offset: {crops: 1}"
    )
    args = parse(tmp_path, text, "--rate", "2")
    assert vars(args) == {
        "data": [Path("a")], "rate": 2.0, "steps": 3, "fcn": "compact", "clip": True,
        "checkpoint_every": 7,
    }  # fmt: skip
    assert parse(tmp_path, text).rate == 1e-3  # which YAML itself takes for text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train_fcn: {steps: 3", "not YAML"),
        ("[1, 2]", "must hold sections"),
        ("train_fnc: {}", "unknown section 'train_fnc'"),
        ("train_fcn: 3", "section 'train_fcn' must hold options"),
        (
            "train_fcn: {data: a, stepz: 3}",
            "unknown option 'stepz' in section 'train_fcn'",
        ),
        ("train_fcn: {data: a, steps: 3.5}", "train_fcn.steps must be an integer, got 3.5"),
        ("train_fcn: {data: a, steps: true}", "train_fcn.steps must be an integer, got True"),
        ("train_fcn: {data: a, rate: fast}", "train_fcn.rate must be a number, got 'fast'"),
        ("train_fcn: {data: a, clip: 1}", "train_fcn.clip must be true or false, got 1"),
        ("train_fcn: {data: a, fcn: big}", "train_fcn.fcn must be one of compact, paper"),
        ("train_fcn: {data: []}", "train_fcn.data must be a list of at least one"),
        ("train_fcn: {data: [1]}", "train_fcn.data must be a path"),
        ("train_fcn: {data: {a: b}}", "train_fcn.data must be a path"),
        ("train_fcn: {steps: 4}", "the following arguments are required: --data"),
        ("\x00", "not YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(tmp_path, text)
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        step_options.parse(parser(), "train_fcn", ["--config-file", "nowhere.yaml"])
    assert "nowhere.yaml: cannot be read: No such file" in capsys.readouterr().err


def test_kept_options_are_a_file_of_options(tmp_path: Path) -> None:
    first = parse(tmp_path, "train_fcn: {data: [a, b], steps: 9}")
    step_options.save(tmp_path / "run", "train_fcn", first)
    step_options.save(
        tmp_path / "run", "joint_depth_offset", argparse.Namespace(crops=5, config=None)
    )
    kept = tmp_path / "run" / step_options.FILE
    assert yaml.safe_load(kept.read_text())["joint_depth_offset"] == {"crops": 5}
    again = step_options.parse(parser(), "train_fcn", ["--config-file", str(kept)])
    assert again == first


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_subnormal=False),
    st.text(),
    st.lists(st.integers()),
)


@given(st.dictionaries(st.one_of(st.text(), st.integers()), VALUES))
def test_no_section_is_taken_half_or_raises_anything_else(section: dict) -> None:
    made = parser()
    try:
        step_options.apply(made, {"train_fcn": section}, "train_fcn")
    except step_options.OptionsError:
        return
    assert {str(k).replace("-", "_") for k in section} <= set(
        vars(made.parse_args(["--data", "x"]))
    )


@pytest.mark.parametrize("name", MODULES)
def test_every_step_has_help_and_takes_a_file(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name in step_options.STEPS
    with pytest.raises(SystemExit) as stop:
        MODULES[name].main(["--help"])
    assert stop.value.code == 0
    assert "--config" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [FileNotFoundError, UserError, ConfigError, WeightsError])
def test_what_the_user_can_mend_is_no_traceback(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(argv: list[str]) -> None:
        raise kind("no shards in x")

    monkeypatch.setattr("depth_pose_training.commands.train_fcn.main", main)
    with pytest.raises(SystemExit) as stop:
        run_step(["train_fcn"])
    assert stop.value.code == "error: no shards in x"
