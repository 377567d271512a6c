"""Options from defaults, a YAML file and the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from depth_pose_training.configs import cli
from depth_pose_training.configs.cli import OptionsError, option


@dataclass(frozen=True)
class Options:
    """Of a step."""

    data: tuple[Path, ...] = option("folders")
    steps: int = option("steps", 10)
    rate: float = option("learning rate", 0.1)
    kind: Literal["a", "b"] = option("kind", "a")
    out_dir: Path | None = option("folder", None)
    quick: bool = option("fewer steps", False)


def test_values_come_from_defaults_then_the_file_then_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "o.yaml"
    file.write_text("step: {data: a, steps: 3, rate: 1e-3, quick: true}\nother: {x: 1}\n")
    made = cli.parse(Options, ["--config", str(file), "--steps", "4", "--out-dir", "q"], "step")
    assert made == Options(
        data=(Path("a"),), steps=4, rate=1e-3, kind="a", out_dir=Path("q"), quick=True
    )
    assert cli.build(Options, file, "step", steps=5, data=(Path("b"),)) == Options(
        data=(Path("b"),), steps=5, rate=1e-3, quick=True
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step: {stepz: 3}", "section 'step'.*stepz"),
        ("step: {steps: many}", "section 'step'.*steps.*many"),
        ("step: {kind: z}", "section 'step'.*kind.*z"),
        ("step: 3", "section 'step'"),
        ("- 3", "one section per step"),
        ("a: b: c", "not YAML"),
    ],
)
def test_an_error_in_the_file_names_file_section_and_key(
    text: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "o.yaml"
    file.write_text(text)
    with pytest.raises(OptionsError, match=message) as error:
        cli.parse(Options, ["--config", str(file), "--data", "a"], "step")
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "data"),
        (["--data", "a", "--steps", "x"], "steps"),
        (["--data", "a", "--nope", "1"], "nope"),
        (["--config"], "needs a file"),
    ],
)
def test_an_error_on_the_command_line_names_the_option(argv: list[str], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        cli.parse(Options, argv, "step")


def test_saved_options_are_read_again(tmp_path: Path) -> None:
    made = Options(data=(Path("a"), Path("b")), kind="b", quick=True)
    cli.save(tmp_path, "step", made)
    cli.save(tmp_path, "other", made)
    assert cli.parse(Options, ["--config", str(tmp_path / cli.FILE)], "step") == made
