"""From the steps' files to one weights file, and how good it is on crops."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from depth_pose_ros.core import weights
from depth_pose_ros.core.estimator import DETECTOR
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector, build_detector
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.commands.learn_inference import main as learn_inference_main
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.engine.checkpoints import read, write_whole
from depth_pose_training.evaluation import labelled_crops
from depth_pose_training.learning import (
    export_weights,
    import_weights,
    joint_depth_offset,
    run_folder,
    train_matchnet,
)
from depth_pose_training.learning import templates as templates_step
from depth_pose_training.structured import learn_inference
from depth_pose_training.structured.tree_data import collect, thin
from training_helpers.stick_figures import OFFSET, TINY, MeanFcn, mean_figure, write_figures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of crops, a configuration, and what step 1 and train_detector leave behind."""
    folder = tmp_path_factory.mktemp("learning")
    write_figures(folder / "train", 12, seed=1)
    write_figures(folder / "val", 6, seed=2)
    (folder / "tiny.json").write_text(TINY.to_json())
    torch.manual_seed(0)
    (folder / "run").mkdir()
    write_whole(folder / "run/checkpoint.pt", {"model": PoseNetwork(TINY).fcn.state_dict()})
    write_whole(folder / "detector.pt", {"model": PersonDetector(DetectorConfig()).state_dict()})
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """The folder of a model after all steps, by their commands."""
    common = ["--run", str(folder / "run"), "--threads", "1", "--data", str(folder / "train")]
    held_out = ["--validation", str(folder / "val"), "--validation-crops", "4"]
    joint_depth_offset.main([*common, "--config", str(folder / "tiny.json")])
    templates_step.main([*common, "--per-part", "10"])
    train_matchnet.main([*common, *held_out, "--steps", "2", "--batch", "2"])
    learn_inference_main(
        [*common, *held_out, "--crops", "8", "--steps", "4", "--calls", "4", "--rounds", "2"]
    )
    return folder / "run"


def test_steps_leave_logs_and_choose_the_best_on_held_out_crops(run: Path) -> None:
    entries = [json.loads(line) for line in (run / "inference.jsonl").read_text().splitlines()]
    shares = {e["learner"]: learn_inference.score(e["full"]) for e in entries if "full" in e}
    assert set(shares) == {"start", "svm", "likelihood", "expectation"}
    chosen = entries[-1]["chosen"]
    assert shares.pop("start") is not None  # is there to compare with
    assert shares[chosen] == max(shares.values())
    assert read(run / run_folder.INFERENCE)["learner"] == chosen
    objectives = [e["objective"] for e in entries if "objective" in e]
    assert objectives == sorted(objectives, reverse=True)


def test_one_file_holds_what_all_steps_learned(folder: Path, run: Path) -> None:
    out = folder / "models/tiny.safetensors"
    export_weights.main(
        ["--run", str(run), "--detector", str(folder / "detector.pt"), "--out", str(out)]
    )
    assert weights.module_names(out) == [DETECTOR, weights.POSE]
    loaded = weights.load(out)
    assert loaded.config == TINY
    learned = run_folder.load_network(run, TINY)
    for key, value in learned.state_dict().items():
        assert torch.allclose(value.float(), loaded.state_dict()[key].float(), atol=2e-2, rtol=1e-2)
    assert float(loaded.joint_depth_offset.min()) > 0.04
    assert not torch.equal(loaded.match_weight, PoseNetwork(TINY).match_weight)
    weights.load_modules(out, {DETECTOR: build_detector})


def contents(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_a_file_is_taken_apart_again_and_steps_go_on_from_it(
    folder: Path, run: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    export_weights.export(run, folder / "detector.pt", first)
    out, detector = tmp_path / "run", tmp_path / "detector"
    import_weights.main(["--weights", str(first), "--run", str(out), "--detector", str(detector)])
    export_weights.export(out, detector / run_folder.FCN, second)
    (one, once), (other, again) = contents(first), contents(second)
    assert one == other
    assert once.keys() == again.keys()
    assert all(torch.equal(once[name], again[name]) for name in once)
    with pytest.raises(run_folder.RunError, match="import into a new folder"):
        import_weights.import_file(first, out)
    with pytest.raises(run_folder.RunError, match="import into a new folder"):
        import_weights.import_file(first, tmp_path / "other", detector)
    assert not (tmp_path / "other").exists()
    data = ["--data", str(folder / "train"), "--validation", str(folder / "val")]
    short = ["--threads", "1", "--steps", "1", "--batch", "2"]
    train_matchnet.main(["--run", str(out), *data, *short])
    assert read(out / run_folder.MATCHNET)["step"] == 1
    before = read(run / run_folder.MATCHNET)["model"]
    for name, tensor in read(out / run_folder.MATCHNET)["model"].items():
        assert torch.allclose(tensor.float(), before[name].float(), atol=2e-2)


def test_a_missing_step_is_named(folder: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    for name in (
        run_folder.CONFIG,
        run_folder.FCN,
        run_folder.JOINT_DEPTH_OFFSET,
        run_folder.TEMPLATES,
    ):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(run_folder.RunError, match=r"matchnet\.pt is missing"):
        export_weights.export(tmp_path, folder / "detector.pt", out)
    with pytest.raises(run_folder.RunError, match=r"finder2\.pt is missing"):
        export_weights.export(run, folder / "finder2.pt", out)
    with pytest.raises(run_folder.RunError, match=r"config\.json is missing"):
        export_weights.export(tmp_path / "nowhere", folder / "detector.pt", out)
    assert not out.exists()


def test_files_that_do_not_fit_are_refused(folder: Path, run: Path, tmp_path: Path) -> None:
    for path in run.glob("*.pt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / run_folder.CONFIG).write_text(TINY.to_json())
    write_whole(tmp_path / run_folder.JOINT_DEPTH_OFFSET, {"joint_depth_offset": torch.zeros(18)})
    with pytest.raises(run_folder.RunError, match="do not fit"):
        export_weights.export(tmp_path, folder / "detector.pt", tmp_path / "model.safetensors")
    with pytest.raises(run_folder.RunError, match="not a person detector"):
        export_weights.export(run, run / run_folder.FCN, tmp_path / "model.safetensors")


def test_thinned_windows_keep_their_middle(folder: Path) -> None:
    network = PoseNetwork(TINY).eval()
    network.fcn = MeanFcn()  # type: ignore[assignment]
    batch = CropDataset(folder / "val").batch(np.arange(2))
    with torch.no_grad():
        whole = network.propose(network.fcn(batch.crops), batch.crops, batch.frames)
    few = thin(whole, window=5, stride=2)
    assert few.pixels.shape == (2, 19, 9, 2)
    assert torch.equal(few.pixels[:, :, 4], whole.pixels[:, :, 12])
    assert torch.equal(few.points[:, :, 0], whole.points[:, :, 0])
    assert (few.pixels - few.pixels[:, :, :1]).unique().tolist() == [0, 2, 4]


def test_learn_inference_decodes_like_the_network(folder: Path, run: Path) -> None:
    network, crops = run_folder.load_network(run, TINY), CropDataset(folder / "val")
    data = collect(network, crops, np.arange(6), stride=1)
    learned = learn_inference.TreeWeights(
        torch.cat((network.match_weight, network.heat_weight[:, None]), 1), network.gamma
    )
    batch = crops.batch(np.arange(6))
    for stage, pairwise in (("matchnet", False), ("full", True)):
        pixels, joints = learn_inference.decode(
            data, learned, TINY.readout, float(network.temperature), pairwise
        )
        with torch.no_grad():
            pose = network(batch.crops, batch.frames, stage)
        # Features are kept in half precision.
        assert torch.allclose(pixels, pose.pixels, atol=0.05)
        assert torch.allclose(joints, pose.joints, atol=2e-3)


def test_facing_away_is_seen_from_the_joints() -> None:
    front = mean_figure()[None].astype(np.float32)
    turned = (front - (0, 0, 2)) * (-1, 1, -1) + (0, 0, 2)
    side = np.stack((front[..., 2] - 2, front[..., 1], front[..., 0] + 2), -1)
    assert labelled_crops.facing_away(np.concatenate((front, turned, side))).tolist() == [0, 1, 0]


def test_crop_evaluation_measures_stages_groups_and_the_best_there_is(folder: Path) -> None:
    network = PoseNetwork(TINY).eval()
    network.fcn = MeanFcn()  # type: ignore[assignment]
    network.joint_depth_offset.fill_(OFFSET)
    errors, groups = labelled_crops.evaluate(
        network, CropDataset(folder / "val"), np.arange(6), size=4
    )
    summary = labelled_crops.summarize(errors, groups)
    assert list(summary) == ["fcn", "matchnet", "full", labelled_crops.BEST]
    assert summary["full"]["groups"]["seated"]["crops"] == 3
    assert "from behind" not in summary["full"]["groups"]
    shown, hidden = groups["joints in sight"], groups["joints hidden"]
    known = ~np.isnan(errors["full"].position)
    assert shown.shape == (6, len(INDEX))
    assert ((shown ^ hidden) == known).all()  # every joint that counts is in one of the two
    assert (groups["seated, in sight"] == groups["seated"] & shown).all()
    error = errors["full"].of(shown).summary()["error_mm"]
    assert error == pytest.approx(1000 * errors["full"].position[shown].mean(), abs=0.01)
    offset = np.nanmedian(errors["full"].offset, axis=(0, 1))
    assert summary["full"]["all"]["down_mm"] == pytest.approx(1000 * offset[1], abs=0.01)
    distance = np.linalg.norm(errors["full"].offset, axis=-1)
    np.testing.assert_allclose(distance, errors["full"].position, rtol=1e-4, atol=1e-6)
    best = errors[labelled_crops.BEST].normalized
    for stage in labelled_crops.STAGES:
        # Expectations lie between proposals: nearer than the nearest by half a pixel at the most.
        assert (errors[stage].normalized >= best - 0.5 * 2**0.5 / 40).all()
    # The mean figure is off by the figures' jitter, 3 cm to the side and 3 cm up.
    assert summary["fcn"]["all"]["error_mm"] == pytest.approx(30 * (np.pi / 2) ** 0.5, rel=0.3)
    assert set(summary["full"]["joints"]) == set(INDEX)
    text = labelled_crops.table(summary)
    assert "seated, full" in text
    assert "RightHand" in text


def test_the_evaluation_command_writes_what_it_prints(
    folder: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.safetensors"
    export_weights.export(run, folder / "detector.pt", out)
    labelled_crops.main(
        ["--weights", str(out), "--data", str(folder / "val"), "--limit", "3", "--threads", "1",
         "--pictures", "2", "--out", str(tmp_path / "eval")]
    )  # fmt: skip
    written = json.loads((tmp_path / "eval/summary.json").read_text())
    assert written["crops"] == 3
    shown = f"{written['results']['full']['all']['pdj_average']:.2f}"
    assert shown in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "eval").iterdir()}
    assert {"pdj_curves_all.png", "pdj_per_joint_all.png", "worst_00.png", "worst_01.png"} <= names
    assert "pdj_curves_seated.png" in names
