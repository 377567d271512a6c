"""The evaluation with estimators whose errors are known."""

import json
from dataclasses import dataclass, field
from typing import get_args

import cv2
import numpy as np
import pytest

from depth_pose_ros.core.models.pose_network import Stage
from depth_pose_ros.core.skeleton import INDEX, JOINTS, NUM_JOINTS
from depth_pose_training.data import shards
from depth_pose_training.data.datasets.adapter import JointAdapter
from depth_pose_training.data.datasets.base import LabelledFrame, LabelledPerson
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.labelled_frames import (
    STAGES,
    evaluate,
    fit_adapter,
    main,
    write,
)
from depth_pose_training.evaluation.pictures import draw, side_by_side, worst
from depth_pose_training.evaluation.predictions import predict
from depth_pose_training.evaluation.summary import joint_table, table
from training_helpers.scenes import CAMERA, TORSO, pose
from training_helpers.stick_figures import figures

NECK = INDEX["Neck"]


@dataclass
class Frames:
    """A dataset in memory; the first pixel of the depth is the number of the frame."""

    count: int = 8
    name: str = "made"
    torso_top: str = "UpperSpine"
    frames: list[LabelledFrame] = field(default_factory=list)

    def __post_init__(self):
        rng = np.random.default_rng(0)
        for i in range(self.count):
            joints = rng.uniform((-0.4, -0.6, 2.5), (0.4, 0.6, 3.0), (NUM_JOINTS, 3))
            for joint, (x, y) in TORSO.items():  # facing the camera; the limbs anywhere
                joints[INDEX[joint]] = (x, y, 2.8)
            joints[NECK] = np.nan
            depth = np.full((60, 80), 3.0, dtype=np.float32)
            depth[0, 0] = i + 1
            valid = np.isfinite(joints).all(1)
            pixels = CAMERA.project(joints)
            person = LabelledPerson(joints, pixels, valid)
            self.frames.append(LabelledFrame(depth, CAMERA, (person,), f"clip/{i}"))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.frames[index]


class Fake:
    """Returns the truth moved by a shift in metres; detects no person in some frames."""

    def __init__(self, frames, shift=(0.0, 0.0, 0.0), blind=()):
        self.frames, self.shift, self.blind = frames, shift, blind

    def estimate(self, depth, camera):
        assert camera == CAMERA
        i = int(depth[0, 0]) - 1
        if i in self.blind:
            return []
        decoy = pose(np.ones((NUM_JOINTS, 3)), score=0.2)
        return [decoy, pose(self.frames[i].target.joints + self.shift, score=0.9)]


@pytest.fixture
def frames():
    return Frames()


def test_perfect_estimator(frames):
    summary = evaluate({"full": Fake(frames)}, frames).summaries["full"]
    assert summary["frames"] == 8
    assert summary["found"] == 1
    assert summary["not_found"] == []
    assert summary["more_than_one_person"] == 8
    assert set(summary["raw"]["pdj"].values()) == {1.0}
    assert summary["raw"]["mean_error_mm"] == pytest.approx(0, abs=1e-3)
    assert summary["raw"]["map_10cm"] == 1
    assert summary["raw"]["joints"]["Neck"]["pdj_average"] is None
    assert "adapted" not in summary


def test_known_shift(frames):
    """6 cm sideways at z: 6 / z pixels, of a torso of 50 / 2.8 pixels."""
    result = evaluate({"full": Fake(frames, (0.06, 0, 0))}, frames)
    raw = result.summaries["full"]["raw"]
    assert raw["mean_error_mm"] == pytest.approx(60, abs=0.01)
    assert raw["map_10cm"] == 1
    known = np.array([f.target.joints for f in frames.frames])[..., 2]
    known = known[~np.isnan(known)]
    for threshold, share in raw["pdj"].items():
        expected = (6 / known / (50 / 2.8) <= float(threshold)).mean()
        assert share == pytest.approx(expected, abs=1e-6)
    assert raw["pdj_average"] == pytest.approx(np.mean(list(raw["pdj"].values())), abs=1e-5)


def test_person_not_found_counts_as_missed_and_is_listed(frames):
    summary = evaluate({"full": Fake(frames, blind=(2, 5))}, frames).summaries["full"]
    assert summary["found"] == 0.75
    assert summary["not_found"] == ["clip/2", "clip/5"]
    assert set(summary["raw"]["pdj"].values()) == {0.75}
    assert summary["raw"]["map_10cm"] == 0.75
    assert summary["raw"]["mean_error_mm"] == pytest.approx(0, abs=1e-3)


def test_no_person_detected(frames):
    summary = evaluate({"full": Fake(frames, blind=range(8))}, frames).summaries["full"]
    assert set(summary["raw"]["pdj"].values()) == {0.0}
    assert summary["raw"]["mean_error_mm"] is None
    assert "-" in table({"full": summary})


def test_limit_spreads_over_the_dataset(frames):
    result = evaluate({"full": Fake(frames)}, frames, limit=3)
    assert result.indices == [0, 4, 7]
    assert result.predictions["full"].keys == ["clip/0", "clip/4", "clip/7"]


def test_frames_are_any_iterable(frames):
    predictions = predict({"a": Fake(frames)}, iter(frames.frames))["a"]
    assert len(predictions) == 8
    assert predictions.joints[:, NECK] == pytest.approx(np.tile((0, -0.55, 2.8), (8, 1)))
    with pytest.raises(ValueError, match="no frames"):
        predict({"a": Fake(frames)}, [])


def test_adapter_is_fitted_and_reported_beside_the_raw_numbers(frames):
    shifted = Fake(frames, (0.0, 0.03, 0.06))
    adapter = fit_adapter(shifted, frames)
    summary = evaluate({"full": shifted}, frames, adapter=adapter).summaries["full"]
    assert summary["raw"]["mean_error_mm"] == pytest.approx(1000 * np.hypot(0.03, 0.06), abs=0.01)
    assert summary["adapted"]["mean_error_mm"] < 0.6 * summary["raw"]["mean_error_mm"]
    text = table({"full": summary})
    assert "full (raw)" in text
    assert "full (adapted)" in text
    assert "PDJ (adapted)" in joint_table(summary)


def test_missed_people_are_not_adapted(frames):
    adapter = fit_adapter(Fake(frames, (0, 0.03, 0)), frames)
    summary = evaluate({"full": Fake(frames, blind=(0,))}, frames, adapter=adapter).summaries[
        "full"
    ]
    assert summary["adapted"]["pdj"]["0.20"] <= 7 / 8


def test_worst_rows_come_first_without_missed_ones():
    errors = np.full((4, NUM_JOINTS), 0.1)
    errors[1] = 0.5
    errors[2] = np.inf
    errors[3, :5] = np.nan
    errors[3, 5:] = 0.2
    assert worst(errors, 10) == [1, 3, 0]
    assert worst(errors, 1) == [1]


def test_drawing_shows_truth_and_estimate(frames):
    frame = frames[0]
    image = draw(frame, np.full((NUM_JOINTS, 2), np.nan), "missed")
    both = draw(frame, frame.target.pixels + 5, "estimate")
    assert image.shape == both.shape == (720, 960, 3)
    assert image.dtype == np.uint8
    red = (60, 60, 255)
    body = np.s_[90:]  # below the legend
    assert (image[body] == (80, 220, 80)).all(-1).any()
    assert not (image[body] == red).all(-1).any()
    assert (both[body] == red).all(-1).any()


def test_written_results(frames, tmp_path):
    estimators = {"fcn": Fake(frames, (0.1, 0, 0), blind=(3,)), "full": Fake(frames)}
    nothing = np.zeros((NUM_JOINTS, 3))
    adapter = JointAdapter(nothing[:, 0], nothing, nothing, (0.0, 0.0))
    result = evaluate(estimators, frames, adapter=adapter)
    write(result, tmp_path / "out", {"data": "made"}, pictures=2)
    written = json.loads((tmp_path / "out/summary.json").read_text())
    assert written["data"] == "made"
    assert written["results"] == result.summaries
    curve = written["results"]["fcn"]["raw"]["pdj_curve"]
    assert curve["thresholds"][0] == 0
    assert curve["thresholds"][-1] == 0.2
    assert curve["pdj"] == sorted(curve["pdj"])
    JointAdapter.load(tmp_path / "out/adapter.json")
    names = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.png"))
    assert {"pdj_curves.png", "pdj_per_joint.png"} <= set(names)
    assert "pictures/fcn/missed_00_clip_3.png" in names
    assert sum(n.startswith("pictures/full/worst") for n in names) == 2
    for name in names:
        assert cv2.imread(str(tmp_path / "out" / name)) is not None


@pytest.fixture
def opened(monkeypatch):
    """The command line opens an in-memory dataset; records the arguments."""
    calls = []

    def fake_open(name, root, **options):
        calls.append((root, options["subjects"], name))
        return Frames()

    monkeypatch.setattr("depth_pose_training.data.datasets.open", fake_open)
    return calls


def test_command_line(frames, opened, tmp_path, capsys):
    made = []

    def factory(model, device, stage):
        made.append((model, device, stage))
        return Fake(frames, (0, 0.03, 0), blind=(6,))

    arguments = ["--root", "data", "--model", "compact", "--device", "cpu", "--limit", "4"]
    out = tmp_path / "eval"
    arguments += ["--ablation", "--pictures", "1", "--out", str(out)]
    main(arguments, factory)
    assert made == [("compact", "cpu", stage) for stage in STAGES]
    assert [subjects for _, subjects, *_ in opened] == [[7], [1, 3, 5]]
    printed = capsys.readouterr().out
    for stage in STAGES:
        assert f"{stage} (raw)" in printed
        assert f"{stage} (adapted)" in printed
    assert "UpperSpine to the middle of the hips" in printed
    written = json.loads((out / "summary.json").read_text())
    assert list(written["results"]) == list(STAGES)
    assert written["adapter"]["subjects"] == [1, 3, 5]


def test_command_line_takes_a_saved_adapter_or_none(frames, opened, tmp_path):
    saved = tmp_path / "adapter.json"
    fit_adapter(Fake(frames, (0, 0.03, 0)), frames).save(saved)
    common = ["--root", "data", "--pictures", "0", "--out", str(tmp_path)]
    main([*common, "--adapter", str(saved)], lambda *_: Fake(frames))
    assert len(opened) == 1
    main([*common, "--adapter", "none"], lambda *_: Fake(frames))
    assert json.loads((tmp_path / "summary.json").read_text())["adapter"] is None


def test_adapter_is_not_fitted_on_evaluated_subjects(frames, opened, tmp_path):
    arguments = ["--root", "data", "--subjects", "7", "3", "--out", str(tmp_path)]
    with pytest.raises(UserError, match=r"\[3\] would be"):
        main(arguments, lambda *_: Fake(frames))


def test_missing_data_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="is missing"):
        main(["--root", str(tmp_path / "nowhere")], lambda *_: None)


def test_all_joint_names_are_reported(frames):
    summary = evaluate({"full": Fake(frames)}, frames).summaries["full"]
    assert tuple(summary["raw"]["joints"]) == JOINTS


def test_stages_are_the_models():
    assert get_args(Stage) == STAGES


def test_latency_is_measured(frames):
    latency = evaluate({"full": Fake(frames)}, frames).summaries["full"]["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"]
    assert latency["mean"] > 0


def test_truth_and_estimate_are_drawn_side_by_side(frames):
    frame = frames[0]
    image = side_by_side(frame, frame.target.pixels + 3, "a frame")
    half = image.shape[1] // 2
    left, right = image[50:, :half], image[50:, half:]
    green, red = (80, 220, 80), (60, 60, 255)
    assert (left == green).all(-1).any() and not (left == red).all(-1).any()
    assert (right == red).all(-1).any() and not (right == green).all(-1).any()
    missed = side_by_side(frame, np.full((NUM_JOINTS, 2), np.nan), "a frame")
    assert not (missed[50:] == red).all(-1).any()


def test_command_line_on_synthetic_shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    shards.write(folder / "shard_00000.npz", figures(3))

    class NoDetections:
        def estimate(self, depth, camera):
            return []

    out = tmp_path / "out"
    arguments = ["--data", "synthetic", "--root", str(folder), "--out", str(out)]
    main([*arguments, "--kind", "crops"], lambda *_: NoDetections())
    written = json.loads((out / "summary.json").read_text())
    assert written["options"] == {"kind": "crops"}
    assert written["adapter"] is None
    assert written["results"]["full"]["people"] == {
        "counted": 3, "found": 0, "recall": 0, "false": 0, "false_per_frame": 0,
    }  # fmt: skip
    with pytest.raises(UserError, match="synthetic does not take subjects"):
        main([*arguments, "--subjects", "7"], lambda *_: NoDetections())
