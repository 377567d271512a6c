"""Arbitrary weights files are loaded, or refused with a WeightsError."""

import json
import struct
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from depth_pose_ros.core import weights
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.weights import WeightsError
from helpers.fuzzing import cases
from helpers.tiny_model import CONFIG


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> bytes:
    """Valid weights of a tiny network."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    weights.save(path, PoseNetwork(CONFIG))
    return path.read_bytes()


def assert_loads_or_raises(path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = weights.load(path)
    except WeightsError as error:
        assert str(path) in str(error)
    else:
        assert all(bool(t.isfinite().all()) for t in network.parameters())


@cases(15, share=0.5)
@given(data=st.data())
def test_any_bytes_for_weights(file, tmp_path_factory, data):
    changed = bytearray(file)
    header = 8 + struct.unpack("<Q", file[:8])[0]
    for _ in range(data.draw(st.integers(0, 3))):
        # The header is a small part of the file, but most errors are there.
        end = data.draw(st.sampled_from([9, header, len(changed)]))
        changed[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        changed = changed[: data.draw(st.integers(0, len(changed)))]
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(bytes(changed))
    assert_loads_or_raises(path)


JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 3, 7, 64, 10**15]),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.lists(st.integers(-2, 9), max_size=6),
    st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=2),
)


@cases(15, share=0.5)
@given(data=st.data())
def test_any_configuration_of_weights(tmp_path_factory, data):
    config = json.loads(CONFIG.to_json())
    for key in data.draw(st.sets(st.sampled_from(sorted(config)), max_size=2)):
        config[key] = data.draw(JSON)
    if data.draw(st.booleans()):
        config = data.draw(st.one_of(JSON, st.just(config)))
    path = tmp_path_factory.getbasetemp() / "configured.safetensors"
    metadata = {"project": "depth_pose_ros", "format_version": "1"}
    metadata["config.pose"] = json.dumps(config)
    save_file({"pose.x": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(WeightsError):
        weights.load(path)
