"""Quality of the tracker on simulated tracks and on the demo's clip.

``data/clip_estimates.npz`` holds the shipped model's estimates of the clip, recorded by
``python -m depth_pose_training evaluate_tracking --clip --record FILE``.
"""

from pathlib import Path

import numpy as np
import pytest

from depth_pose_ros.core.tracking import TrackerOptions
from depth_pose_training.evaluation import tracking
from depth_pose_training.evaluation.tracking_scenes import (
    Scene,
    crossing,
    read_estimates,
    waving,
    write_estimates,
)

ESTIMATES = Path(__file__).with_name("data") / "clip_estimates.npz"
SETTINGS = TrackerOptions()


@pytest.fixture(scope="module")
def clip() -> Scene:
    return tracking.with_clip_truth(read_estimates(ESTIMATES))


def track(scene: Scene) -> tracking.TrackingResult:
    return tracking.match_tracks(scene.truth, tracking.tracked(scene, SETTINGS))


def compare(scene: Scene, joints: slice | tuple[int, ...]) -> tuple[float, float, float, float]:
    """Jitter raw and tracked, error raw and tracked, where both have an estimate; millimetres."""
    raw = tracking.match_tracks(scene.truth, tracking.untracked(scene)).joints
    ours = np.where(np.isnan(raw), np.nan, track(scene).joints)
    truth = scene.truth[:, :, joints]
    return (
        tracking.jitter(truth, raw[:, :, joints], scene.stamps),
        tracking.jitter(truth, ours[:, :, joints], scene.stamps),
        tracking.error(truth, raw[:, :, joints]),
        tracking.error(truth, ours[:, :, joints]),
    )


def test_lag_jitter_and_error_of_known_signals() -> None:
    scene = waving(0)
    truth, stamps = scene.truth, scene.stamps
    late = np.roll(truth, 2, axis=1)
    assert tracking.lag(truth[:, 5:], late[:, 5:], stamps[5:]) == pytest.approx(2000 / 30, abs=1.5)
    noise = np.random.default_rng(0).normal(0, 0.01, truth.shape)
    assert tracking.jitter(truth, truth, stamps) == 0
    assert tracking.jitter(truth, truth + noise, stamps) == pytest.approx(10 * 6**0.5, rel=0.02)
    assert tracking.error(truth, truth + (0, 0.03, 0.04)) == pytest.approx(50)


def test_id_switches_and_false_positives_are_counted() -> None:
    scene = crossing(0, seconds=1.0)
    shown = [[(int(t >= 10), poses[0])] if poses else [] for t, poses in enumerate(scene.poses)]
    only = np.stack([p[0].joints if p else np.full((19, 3), 9.0) for p in scene.poses])
    result = tracking.match_tracks(only[None].astype(float), shown)
    assert (result.switches, result.false) == (1, 0)
    assert tracking.match_tracks(only[None] + 5.0, shown).false == sum(map(bool, scene.poses))


@pytest.mark.parametrize("fps", [10.0, 30.0])
def test_ids_are_kept_when_two_people_cross(fps: float) -> None:
    switches = {"raw": 0, "tracked": 0}
    for seed in range(5):
        scene = crossing(seed, fps)
        raw = tracking.match_tracks(scene.truth, tracking.untracked(scene))
        ours = track(scene)
        switches["raw"] += raw.switches
        switches["tracked"] += ours.switches
        assert ours.found > raw.found  # short gaps are bridged
        assert ours.false < raw.false
    assert switches["raw"] > 20
    assert switches["tracked"] == 0


def test_jitter_is_halved_without_lag() -> None:
    scene = waving(1)
    before, after, error_before, error_after = compare(scene, slice(None))
    assert after < before / 2
    assert error_after < 0.8 * error_before
    before, after, _, _ = compare(scene, tracking.HAND)
    assert after < 0.65 * before
    hand = (
        scene.truth[:, :, tracking.HAND],
        track(scene).joints[:, :, tracking.HAND],
    )
    assert abs(tracking.lag(*hand, scene.stamps)) < 10


def test_tracking_of_the_clip(clip: Scene) -> None:
    """One person approaches the camera, is missed for most of a second, and is found again."""
    ours = track(clip)
    assert ours.switches == 0
    assert set(ours.ids[ours.ids >= 0].tolist()) == {0, 1}
    before, after, error_before, error_after = compare(clip, slice(None))
    assert after < 0.8 * before
    assert error_after < error_before
    arms = tuple(range(5, 13))
    late = tracking.lag(clip.truth[:, :, arms], ours.joints[:, :, arms], clip.stamps)
    assert abs(late) < 25


def test_estimates_are_written_and_read(tmp_path: Path) -> None:
    frames = crossing(3, seconds=0.5).poses
    write_estimates(tmp_path / "estimates.npz", frames)
    back = read_estimates(tmp_path / "estimates.npz")
    assert [len(frame) for frame in back] == [len(frame) for frame in frames]
    for frame, again in zip(frames, back, strict=True):
        for pose, copy in zip(frame, again, strict=True):
            np.testing.assert_allclose(copy.joints, pose.joints, atol=0.6e-3)
            np.testing.assert_allclose(copy.confidence, pose.confidence, atol=0.003)
            assert copy.score == pytest.approx(pose.score)
