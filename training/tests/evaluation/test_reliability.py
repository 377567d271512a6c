"""Confidence as a probability: fitted, measured, drawn, and read by the estimator."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core import weights
from depth_pose_ros.core.models.decode import calibrate_confidence
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.evaluation import calibration
from depth_pose_training.evaluation import confidence as confidence_step
from training_helpers.stick_figures import TINY, write_figures

IDENTITY = np.tile((1.0, 0.0), (19, 1))


def made_up(count: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence that is wrong in a known way, what came of it, and the calibration that helps."""
    rng = np.random.default_rng(0)
    truth = np.stack((rng.uniform(0.7, 1.6, 19), rng.uniform(-1.5, -0.3, 19)), -1)
    confidence = rng.beta(3, 2, (count, 19))
    right = rng.random(confidence.shape) < calibration.calibrate(confidence, truth)
    return confidence, right, truth


def test_both_calibrations_are_the_same_and_keep_the_order() -> None:
    confidence, _, truth = made_up(50)
    theirs = calibrate_confidence(torch.from_numpy(confidence), torch.from_numpy(truth)).numpy()
    np.testing.assert_allclose(calibration.calibrate(confidence, truth), theirs, rtol=1e-6)
    np.testing.assert_allclose(calibration.calibrate(confidence, IDENTITY), confidence, atol=1e-3)
    assert (np.diff(calibration.calibrate(np.sort(confidence, 0), truth), axis=0) >= 0).all()
    ends = calibrate_confidence(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]] * 2))
    assert torch.isfinite(ends).all()


def test_reliability_against_a_plain_loop() -> None:
    confidence, right, _ = made_up(40)
    confidence[0, :2] = 0.0, 1.0
    result = calibration.reliability(confidence.ravel(), right.ravel())
    gaps = 0.0
    for b in range(calibration.BINS):
        inside = [
            (c, r)
            for c, r in zip(confidence.ravel(), right.ravel(), strict=True)
            if min(int(c * calibration.BINS), calibration.BINS - 1) == b
        ]
        assert result.count[b] == len(inside)
        if inside:
            sure, share = np.mean(inside, axis=0)
            assert (result.confidence[b], result.right[b]) == pytest.approx((sure, share))
            gaps += abs(sure - share) * len(inside)
    assert result.error == pytest.approx(gaps / confidence.size)
    assert result.brier == pytest.approx(np.mean((confidence - right) ** 2))


def test_a_known_distortion_is_undone() -> None:
    confidence, right, truth = made_up()
    known = np.ones_like(right)
    fitted = calibration.fit(confidence, right, known)
    np.testing.assert_allclose(fitted, truth, atol=0.35)
    before, after = (
        calibration.reliability(calibration.calibrate(confidence, c).ravel(), right.ravel()).error
        for c in (IDENTITY, fitted)
    )
    assert after < 0.015 < 0.05 < before


def test_a_joint_without_truth_takes_the_others_calibration() -> None:
    confidence, right, _ = made_up(300)
    known = np.ones_like(right)
    known[:, 3] = False
    fitted = calibration.fit(confidence, right, known)
    others = np.delete(fitted, 3, 0)
    assert (others.min(0) < fitted[3]).all() and (fitted[3] < others.max(0)).all()


@pytest.mark.parametrize("outcome", [True, False])
def test_nothing_can_be_fitted_to_one_outcome(outcome: bool) -> None:
    confidence, right, _ = made_up(10)
    with pytest.raises(ValueError, match="right and joints that are wrong"):
        calibration.fit(confidence, np.full_like(right, outcome), np.ones_like(right))
    with pytest.raises(ValueError, match="right and joints that are wrong"):
        calibration.fit(confidence, right, np.zeros_like(right))


def test_the_command_writes_calibrated_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_figures(tmp_path / "val", 8)
    torch.manual_seed(3)
    before, after = tmp_path / "tiny.safetensors", tmp_path / "calibrated.safetensors"
    weights.save(before, PoseNetwork(TINY))
    command = ["--data", str(folder), "--threads", "1", "--out", str(tmp_path / "out")]
    assert confidence_step.main([*command, "--weights", str(before), "--fit", str(after)]) == 0
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "reliability.json").read_text())
    assert list(written) == ["without", "fitted"]
    assert f"{written['fitted']['all']['calibration_error']}" in printed
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 5000
    fitted = weights.load(after)
    assert not torch.equal(fitted.calibration, weights.load(before).calibration)
    # What the network gives with it is what was reported.
    batch = CropDataset(folder).batch(np.arange(1, 8, 2))
    with torch.no_grad():
        confidence = fitted(batch.crops, batch.frames).confidence
    mean = written["fitted"]["all"]["confidence"]
    assert float(confidence.mean()) == pytest.approx(mean, abs=2e-3)
    assert confidence_step.main([*command, "--weights", str(after)]) == 0
    assert "as stored" in capsys.readouterr().out


def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert confidence_step.main(["--data", str(tmp_path), "--weights", str(tmp_path / "no.x")]) == 2
    assert "no weights" in capsys.readouterr().err
