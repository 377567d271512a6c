"""Confidence as a probability: fit, reliability, plot, and use by the estimator."""

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


def simulated(count: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidences with a known distortion, outcomes, and the calibration that corrects them."""
    rng = np.random.default_rng(0)
    truth = np.stack((rng.uniform(0.7, 1.6, 19), rng.uniform(-1.5, -0.3, 19)), -1)
    confidence = rng.beta(3, 2, (count, 19))
    right = rng.random(confidence.shape) < calibration.calibrate(confidence, truth)
    return confidence, right, truth


def test_numpy_and_torch_calibration_agree_and_keep_the_order() -> None:
    confidence, _, truth = simulated(50)
    expected = calibrate_confidence(torch.from_numpy(confidence), torch.from_numpy(truth)).numpy()
    np.testing.assert_allclose(calibration.calibrate(confidence, truth), expected, rtol=1e-6)
    np.testing.assert_allclose(calibration.calibrate(confidence, IDENTITY), confidence, atol=1e-3)
    assert (np.diff(calibration.calibrate(np.sort(confidence, 0), truth), axis=0) >= 0).all()
    ends = calibrate_confidence(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]] * 2))
    assert torch.isfinite(ends).all()


def test_reliability_against_a_plain_loop() -> None:
    confidence, right, _ = simulated(40)
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
            mean, share = np.mean(inside, axis=0)
            assert (result.confidence[b], result.right[b]) == pytest.approx((mean, share))
            gaps += abs(mean - share) * len(inside)
    assert result.error == pytest.approx(gaps / confidence.size)
    assert result.brier == pytest.approx(np.mean((confidence - right) ** 2))


def test_known_distortion_is_corrected() -> None:
    confidence, right, truth = simulated()
    known = np.ones_like(right)
    fitted = calibration.fit(confidence, right, known)
    np.testing.assert_allclose(fitted, truth, atol=0.35)
    before, after = (
        calibration.reliability(calibration.calibrate(confidence, c).ravel(), right.ravel()).error
        for c in (IDENTITY, fitted)
    )
    assert after < 0.015 < 0.05 < before


def test_joint_without_truth_gets_the_common_calibration() -> None:
    confidence, right, _ = simulated(300)
    known = np.ones_like(right)
    known[:, 3] = False
    fitted = calibration.fit(confidence, right, known)
    rest = np.delete(fitted, 3, 0)
    assert (rest.min(0) < fitted[3]).all() and (fitted[3] < rest.max(0)).all()


@pytest.mark.parametrize("outcome", [True, False])
def test_fit_needs_both_outcomes(outcome: bool) -> None:
    confidence, right, _ = simulated(10)
    with pytest.raises(ValueError, match="right and joints that are wrong"):
        calibration.fit(confidence, np.full_like(right, outcome), np.ones_like(right))
    with pytest.raises(ValueError, match="right and joints that are wrong"):
        calibration.fit(confidence, right, np.zeros_like(right))


def test_command_writes_calibrated_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_figures(tmp_path / "val", 8)
    torch.manual_seed(3)
    before, after = tmp_path / "tiny.safetensors", tmp_path / "calibrated.safetensors"
    weights.save(before, PoseNetwork(TINY))
    command = ["--data", str(folder), "--threads", "1", "--out", str(tmp_path / "out")]
    confidence_step.main([*command, "--weights", str(before), "--fit", str(after)])
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "reliability.json").read_text())["results"]
    assert list(written) == ["without", "fitted"]
    assert f"{written['fitted']['all']['calibration_error']}" in printed
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 5000
    fitted = weights.load(after)
    assert not torch.equal(fitted.calibration, weights.load(before).calibration)
    # The network's calibrated confidence equals the reported one.
    batch = CropDataset(folder).batch(np.arange(1, 8, 2))
    with torch.no_grad():
        confidence = fitted(batch.crops, batch.frames).confidence
    mean = written["fitted"]["all"]["confidence"]
    assert float(confidence.mean()) == pytest.approx(mean, abs=2e-3)
    confidence_step.main([*command, "--weights", str(after)])
    assert "as stored" in capsys.readouterr().out


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(weights.WeightsError, match="no weights"):
        confidence_step.main(["--data", str(tmp_path), "--weights", str(tmp_path / "no.x")])
