"""Weights files: round trip, names of version 1, and errors."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from depth_pose_ros.core import weights
from depth_pose_ros.core.models.detector import build_detector
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.weights import WeightsError, load, resolve, save
from helpers.tiny_model import CONFIG


@pytest.fixture(scope="module")
def model() -> PoseNetwork:
    torch.manual_seed(0)
    model = PoseNetwork(CONFIG)
    model.matchnet.templates.uniform_(-1, 1)
    return model


@pytest.fixture
def file(model: PoseNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save(path, model)
    return path


def _rewrite(
    path: Path,
    metadata: dict[str, str],
    change: dict[str, torch.Tensor] | None = None,
    drop: str = "",
) -> None:
    kept = {k: t for k, t in load_file(path).items() if k != drop}
    save_file({**kept, **(change or {})}, path, metadata=metadata)


def _metadata(**changes: str) -> dict[str, str]:
    return {
        "project": "depth_pose_ros",
        "format_version": "1",
        "config.pose": CONFIG.to_json(),
        **changes,
    }


def test_round_trip(model: PoseNetwork, file: Path) -> None:
    loaded = load(file)
    assert loaded.config == CONFIG
    assert not loaded.training
    for key, tensor in loaded.state_dict().items():
        original = model.state_dict()[key]
        assert tensor.dtype == original.dtype
        assert torch.allclose(tensor, original, rtol=1e-3, atol=1e-7)
    stored = {tensor.dtype for tensor in load_file(file).values()}
    assert stored == {torch.float16, torch.int64}
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_version_1_has_other_names(file: Path) -> None:
    expected = load(file).state_dict()
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["format_version"] == "2"
    old = {new: old for old, new in weights._OLD_TENSORS.items()}
    tensors = {old.get(key, key): tensor for key, tensor in load_file(file).items()}
    assert set(weights._OLD_TENSORS) & set(tensors)
    save_file(tensors, file, metadata=_metadata())
    loaded = load(file).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", ["compact", "paper"])
def test_shipped_files_of_both_versions(name: str, tmp_path: Path) -> None:
    shipped = resolve(name)
    with safe_open(shipped, framework="pt") as opened:
        assert opened.metadata()["format_version"] == {"compact": "2", "paper": "1"}[name]
    assert weights.module_names(shipped) == ["detector", "pose"]
    builders = {"pose": weights.build_pose, "detector": build_detector}
    modules = weights.load_modules(shipped, builders)
    configs = {key: modules[key].config.to_json() for key in builders}
    copy = tmp_path / "copy.safetensors"
    weights.save_modules(copy, {key: (modules[key], configs[key]) for key in builders})
    for key, again in weights.load_modules(copy, builders).items():
        assert again.config.to_json() == configs[key]
        expected = modules[key].state_dict()
        assert again.state_dict().keys() == expected.keys()
        assert all(torch.equal(t, expected[k]) for k, t in again.state_dict().items())


def test_values_beyond_float16_stay_float32(tmp_path: Path) -> None:
    model = PoseNetwork(CONFIG)
    with torch.no_grad():
        model.gamma.fill_(-1e5)
    save(tmp_path / "steep.safetensors", model)
    assert (load(tmp_path / "steep.safetensors").gamma == -1e5).all()


def test_file_holds_several_networks(model: PoseNetwork, tmp_path: Path) -> None:
    path = tmp_path / "both.safetensors"
    detector = nn.Linear(3, 2)
    weights.save_modules(
        path, {"pose": (model, CONFIG.to_json()), "detector": (detector, '{"inputs": 3}')}
    )
    assert weights.module_names(path) == ["detector", "pose"]
    assert load(path).config == CONFIG
    loaded = weights.load_modules(
        path,
        {
            "detector": lambda config: nn.Linear(json.loads(config)["inputs"], 2),
            "pose": weights.build_pose,
        },
    )
    assert torch.allclose(loaded["detector"].state_dict()["weight"], detector.weight, atol=1e-3)
    assert isinstance(loaded["pose"], PoseNetwork)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights at .*nothing\.safetensors"):
        load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_truncated_file(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="truncated, or another format"):
        load(file)


def test_foreign_formats(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="another format"):
        load(path)


def test_foreign_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "llm.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="not of depth_pose_ros"):
        load(path)


def test_newer_format(file: Path) -> None:
    _rewrite(file, _metadata(format_version="3"))
    with pytest.raises(WeightsError, match=r"format version '3'.*reads '1'"):
        load(file)


def test_missing_module(file: Path) -> None:
    with pytest.raises(WeightsError, match="holds no 'detector' network, only: pose"):
        weights.load_modules(file, {"detector": lambda config: nn.Linear(1, 1)})


def test_bad_configuration(file: Path) -> None:
    _rewrite(file, _metadata(**{"config.pose": '{"attention": 1}'}))
    with pytest.raises(WeightsError, match=r"configuration of 'pose' is bad.*attention"):
        load(file)


def test_missing_and_unknown_tensors(file: Path) -> None:
    _rewrite(file, _metadata(), {"pose.delta": torch.zeros(2)}, drop="pose.gamma")
    with pytest.raises(WeightsError, match="missing gamma; not expecting delta"):
        load(file)


def test_wrong_size(file: Path) -> None:
    _rewrite(file, _metadata(), {"pose.gamma": torch.zeros(17, 6)})
    with pytest.raises(WeightsError, match=r"sizes differ: gamma \(17, 6\) instead of \(18, 6\)"):
        load(file)


def test_values_that_are_not_finite(model: PoseNetwork, file: Path, tmp_path: Path) -> None:
    _rewrite(file, _metadata(), {"pose.gamma": torch.full((18, 6), torch.nan)})
    with pytest.raises(WeightsError, match="not finite: gamma"):
        load(file)
    broken = PoseNetwork(CONFIG)
    with torch.no_grad():
        broken.gamma[0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"pose\.gamma holds values that are not finite"):
        save(tmp_path / "broken.safetensors", broken)
    assert not (tmp_path / "broken.safetensors").exists()


def test_resolve_by_path(file: Path) -> None:
    assert resolve(file) == file
    assert resolve(str(file)) == file
    with pytest.raises(WeightsError, match="there is no such file"):
        resolve(file.with_name("other.safetensors"))


def test_resolve_by_name(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = tmp_path / "workspace"
    installed = prefix / "share" / "depth_pose_ros" / "models" / "installed.safetensors"
    installed.parent.mkdir(parents=True)
    installed.write_bytes(b"")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{prefix}")
    assert resolve("installed") == installed
    monkeypatch.setenv("DEPTH_POSE_MODELS", str(file.parent))
    assert resolve("tiny") == file


def test_resolve_lists_searched_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTH_POSE_MODELS", str(tmp_path / "mine"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "prefix"))
    with pytest.raises(WeightsError, match="no weights named 'giant'") as caught:
        resolve("giant")
    for place in ("mine", "prefix/share/depth_pose_ros/models", "models/giant.safetensors"):
        assert place in str(caught.value)


def test_file_without_calibration_keeps_confidence(file: Path) -> None:
    _rewrite(file, _metadata(), drop="pose.calibration")
    assert torch.equal(load(file).calibration, PoseNetwork(CONFIG).calibration)
    old = {k: t for k, t in PoseNetwork(CONFIG).state_dict().items() if k != "calibration"}
    PoseNetwork(CONFIG).load_state_dict(old)  # checkpoints too


def test_replace_keeps_other_tensors(file: Path, tmp_path: Path) -> None:
    calibration = torch.arange(38.0).reshape(19, 2)
    weights.replace(file, tmp_path / "new.safetensors", calibration=calibration)
    new, old = load(tmp_path / "new.safetensors"), load(file)
    assert torch.equal(new.calibration, calibration)
    assert torch.equal(new.gamma, old.gamma) and new.config == old.config
    weights.replace(file, file, calibration=calibration)
    assert torch.equal(load(file).calibration, calibration)
    with pytest.raises(WeightsError, match=r"sizes differ: calibration \(2,\)"):
        weights.replace(file, file, calibration=torch.zeros(2))
    with pytest.raises(WeightsError, match="not expecting delta"):
        weights.replace(file, file, delta=torch.zeros(2))
    assert torch.equal(load(file).calibration, calibration)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.safetensors", file.name]
