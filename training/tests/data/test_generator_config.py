"""The options of the synthetic generator and their YAML file."""

from pathlib import Path

import pytest
import yaml

from depth_pose_training.data.synthetic import poses
from depth_pose_training.data.synthetic.config import (
    GeneratorConfig,
    GeneratorConfigError,
    load,
    parse,
)
from depth_pose_training.data.synthetic.sensor import SENSORS

DOCUMENTED = Path(__file__).parents[2] / "configs" / "generator.yaml"


def test_the_documented_file_lists_all_defaults() -> None:
    assert yaml.safe_load(DOCUMENTED.read_text()) == GeneratorConfig().as_dict()
    assert load(DOCUMENTED) == GeneratorConfig()


def test_shares_name_what_there_is() -> None:
    assert set(GeneratorConfig().people.modes) == set(poses.MODES)
    assert set(GeneratorConfig().cameras.sensors) == {s.name for s in SENSORS}


def test_a_file_names_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("people: {number: [0, 1]}\ncameras: {views: 1, height: [1, 1.5]}\n")
    config = load(path)
    assert config.people.number == (0.0, 1.0)
    assert config.cameras.views == 1
    assert config.cameras.height == (1.0, 1.5)
    assert config.noise == GeneratorConfig().noise
    assert parse(config.as_dict()) == config
    path.write_text("")
    assert load(path) == GeneratorConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poeple: {mocap: 1}", "poeple.*not accepted"),
        ("people: {mocup: 1}", "people.*mocup"),
        ("people: {mocap: 1.2}", r"people\.mocap: .* in \[0, 1\], got 1\.2"),
        ("people: {mocap: yes}", r"people\.mocap.*float.*True"),
        ("people: {number: [0.5, 0.2]}", "sum to 1"),
        ("people: {number: [0, 0, 0, 0, 0, 1]}", "at most 4 people"),
        ("people: {modes: {flying: 1}}", "probabilities of standing"),
        ("cameras: {height: 1.2}", r"cameras\.height.*tuple.*1\.2"),
        ("cameras: {height: [2, 1]}", r"\[minimum, maximum\]"),
        ("cameras: {height: [-1, 1]}", r"in \[0, inf\]"),
        ("cameras: {views: 1.5}", r"cameras\.views.*int.*1\.5"),
        ("noise: 3", "noise: expected a mapping"),
        ("- a", "expected a mapping"),
        ("people: {", "is not YAML"),
    ],
)
def test_invalid_options_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(GeneratorConfigError, match=message):
        load(path)
