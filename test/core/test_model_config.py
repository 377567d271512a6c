"""The model's configuration as it travels with the weights."""

import json

import pytest

from depth_pose_ros.core.models.config import ConfigError, ModelConfig, compact, paper
from depth_pose_ros.core.models.fcn import CompactFcn, build_fcn


@pytest.mark.parametrize(
    "config", [paper(), compact(), ModelConfig(window=5, tower=(1, 2, 3, 4, 5))]
)
def test_json_round_trip(config: ModelConfig) -> None:
    assert ModelConfig.from_json(config.to_json()) == config


def test_paper_has_no_extensions() -> None:
    config = paper()
    assert (config.fcn, config.readout, config.proposals) == ("paper", "best", 289)
    assert not (config.shared_tower or config.heat_unary or config.displacement or config.person)


def test_old_files_get_the_default_blocks() -> None:
    networks = [build_fcn(config) for config in (ModelConfig.from_json("{}"), compact())]
    assert all(isinstance(n, CompactFcn) for n in networks)
    assert [len(n.down16) - 1 for n in networks] == [2, 8]
    assert [1 + len(n.more8) for n in networks] == [1, 5]
    assert [1 + len(n.more4) for n in networks] == [1, 2]


def test_unknown_keys_are_named() -> None:
    text = json.dumps({**json.loads(compact().to_json()), "attention": True})
    with pytest.raises(ConfigError, match="attention"):
        ModelConfig.from_json(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "JSON object"),
        ('{"fcn": "huge"}', "fcn must be one of"),
        ('{"window": 16}', "odd"),
        ('{"window": "17"}', "window"),
        ('{"templates": 0}', "templates"),
        ('{"fcn_blocks": 2.5}', "fcn_blocks"),
        ('{"patch": 30}', "multiple of 8"),
        ('{"tower": [24, 64]}', "tower must be 5"),
        ('{"shared_tower": 1}', "shared_tower"),
        ('{"name": 3}', "name"),
        ('{"person": 1}', "person"),
        ('{"person": true, "fcn": "paper"}', "person needs the compact fcn"),
    ],
)
def test_bad_values_are_named(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ModelConfig.from_json(text)
