"""The measures against naive versions and worked cases."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pose_ros.core.skeleton import INDEX, JOINTS, NUM_JOINTS
from depth_pose_training.data.datasets import DatasetError
from depth_pose_training.learning import metrics
from training_helpers.k2hgd_annotations import K2hgdAnnotations

K2HGD = Path(__file__).parents[3] / "../shared/data/k2hgd_annotations"


def naive_torso(pixels, top):
    hips = [(pixels[INDEX["RightHip"]][i] + pixels[INDEX["LeftHip"]][i]) / 2 for i in range(2)]
    diameter = math.dist(pixels[INDEX[top]], hips)
    return diameter if diameter > 0 else math.nan


def naive_counts(estimate, truth, valid, top, threshold):
    """(detected, counted) per joint, in loops."""
    counts = [[0, 0] for _ in JOINTS]
    for e, t, v in zip(estimate, truth, valid, strict=True):
        torso = naive_torso(t, top)
        for k in range(NUM_JOINTS):
            if not v[k] or math.isnan(torso) or any(math.isnan(c) for c in t[k]):
                continue
            counts[k][1] += 1
            if not any(math.isnan(c) for c in e[k]):
                counts[k][0] += math.dist(e[k], t[k]) / torso <= threshold
    return counts


def random_case(seed, dimensions, frames=12):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (frames, NUM_JOINTS, dimensions))
    estimate = truth + rng.normal(0, 5, truth.shape)
    valid = rng.random((frames, NUM_JOINTS)) < 0.8
    truth[rng.random((frames, NUM_JOINTS)) < 0.1] = np.nan
    estimate[rng.random(frames) < 0.2] = np.nan
    return estimate, truth, valid


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), top=st.sampled_from(("Neck", "UpperSpine")))
def test_pdj_equals_the_naive_count(seed, top):
    estimate, truth, valid = random_case(seed, 2)
    distances = metrics.normalized_distances(estimate, truth, valid, top)
    thresholds = (0.05, 0.1, 0.3)
    together = metrics.pdj(distances, thresholds)
    per_joint = metrics.detected_per_joint(distances, thresholds)
    for i, threshold in enumerate(thresholds):
        counts = naive_counts(estimate, truth, valid, top, threshold)
        detected, counted = (sum(column) for column in zip(*counts, strict=True))
        assert together[i] == pytest.approx(
            detected / counted if counted else math.nan, nan_ok=True
        )
        naive = [hit / n if n else math.nan for hit, n in counts]
        assert per_joint[i] == pytest.approx(naive, nan_ok=True)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_position_errors_equal_the_naive_ones(seed):
    estimate, truth, valid = random_case(seed, 3)
    errors = metrics.position_errors(estimate, truth, valid)
    every, within = [], []
    for k in range(NUM_JOINTS):
        naive = [
            math.inf if np.isnan(estimate[n, k]).any() else math.dist(estimate[n, k], truth[n, k])
            for n in range(len(truth))
            if valid[n, k] and not np.isnan(truth[n, k]).any()
        ]
        finite = [e for e in naive if e < math.inf]
        every += finite
        if naive:
            within.append(sum(e <= 7 for e in naive) / len(naive))
        expected = sum(finite) / len(finite) if finite else math.nan
        assert metrics.mean_error_per_joint(errors)[k] == pytest.approx(expected, nan_ok=True)
    assert metrics.mean_error(errors) == pytest.approx(sum(every) / len(every), nan_ok=True)
    average = sum(within) / len(within)
    assert metrics.mean_average_precision(errors, 7) == pytest.approx(average, nan_ok=True)


@pytest.fixture
def standing():
    """One frame: torso 100 px from Neck and 80 px from UpperSpine to the middle of the hips."""
    pixels = np.zeros((1, NUM_JOINTS, 2))
    pixels[0, INDEX["Neck"]] = (0, -100)
    pixels[0, INDEX["UpperSpine"]] = (0, -80)
    pixels[0, INDEX["RightHip"]] = (-10, 0)
    pixels[0, INDEX["LeftHip"]] = (10, 0)
    return pixels


def test_torso_depends_on_the_dataset(standing):
    assert metrics.torso_diameter(standing, "Neck") == pytest.approx([100])
    assert metrics.torso_diameter(standing, "UpperSpine") == pytest.approx([80])


def test_threshold_itself_is_detected(standing):
    estimate = standing + (10.0, 0.0)
    valid = np.ones((1, NUM_JOINTS), dtype=bool)
    distances = metrics.normalized_distances(estimate, standing, valid, "Neck")
    assert metrics.pdj(distances, (0.0999, 0.1)).tolist() == [0, 1]


def test_unknown_joints_do_not_count(standing):
    truth, valid = standing.copy(), np.ones((1, NUM_JOINTS), dtype=bool)
    truth[0, INDEX["Head"]] = np.nan
    valid[0, INDEX["LeftHand"]] = False
    estimate = standing.copy()
    estimate[0, INDEX["LeftHand"]] += 1000
    distances = metrics.normalized_distances(estimate, truth, valid, "Neck")
    assert metrics.pdj(distances, [0.05]).tolist() == [1]
    per_joint = metrics.detected_per_joint(distances, [0.05])[0]
    assert np.isnan(per_joint[[INDEX["Head"], INDEX["LeftHand"]]]).all()


def test_person_not_found_is_missed_but_has_no_error(standing):
    truth = np.concatenate((standing, standing))
    estimate = truth.copy()
    estimate[1] = np.nan
    valid = np.ones((2, NUM_JOINTS), dtype=bool)
    distances = metrics.normalized_distances(estimate, truth, valid, "Neck")
    assert metrics.pdj(distances, [0.2, 1e9]).tolist() == [0.5, 0.5]
    three = np.zeros((2, NUM_JOINTS, 3))
    three[1] = np.nan
    errors = metrics.position_errors(three, np.full((2, NUM_JOINTS, 3), 0.03), valid)
    assert metrics.mean_error(errors) == pytest.approx(0.03 * math.sqrt(3))
    assert metrics.mean_average_precision(errors) == 0.5


def test_frame_without_a_torso_is_skipped(standing):
    truth = np.concatenate((standing, standing))
    truth[1] = 5.0  # all joints in one pixel: no scale
    valid = np.ones((2, NUM_JOINTS), dtype=bool)
    distances = metrics.normalized_distances(truth, truth, valid, "Neck")
    assert np.isnan(distances[1]).all()
    assert metrics.pdj(distances).tolist() == [1, 1, 1, 1]


def test_nothing_measured_is_nan():
    nothing = np.full((3, NUM_JOINTS), np.nan)
    assert np.isnan(metrics.pdj(nothing)).all()
    assert math.isnan(metrics.mean_error(nothing))
    assert math.isnan(metrics.mean_average_precision(nothing))


def test_mismatching_shapes_are_rejected(standing):
    with pytest.raises(ValueError, match="do not belong together"):
        metrics.normalized_distances(standing, standing, np.ones((2, NUM_JOINTS)), "Neck")
    with pytest.raises(ValueError, match="pixels must be"):
        metrics.torso_diameter(np.zeros((4, 17, 2)), "Neck")


@pytest.mark.skipif(not K2HGD.is_dir(), reason=f"the K2HGD annotations are not at {K2HGD}")
def test_pdj_of_known_noise_on_real_skeletons():
    """Shifting a joint by a share of its frame's torso is detected from that share on."""
    annotations = K2hgdAnnotations.read(K2HGD)
    truth = annotations.pixels[::50]
    torso = metrics.torso_diameter(truth, annotations.torso_top)
    assert np.isfinite(torso).mean() > 0.99
    assert 30 < np.nanmedian(torso) < 60  # people of about 110 of the image's 212 pixels
    direction = np.random.default_rng(0).normal(size=truth.shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    share = np.linspace(0.012, 0.25, NUM_JOINTS)  # none is a threshold itself
    estimate = truth + share[:, None] * torso[:, None, None] * direction
    valid = np.ones(truth.shape[:2], dtype=bool)
    distances = metrics.normalized_distances(estimate, truth, valid, annotations.torso_top)
    for threshold in metrics.PDJ_THRESHOLDS:
        expected = (share <= threshold).mean()
        assert metrics.pdj(distances, [threshold])[0] == pytest.approx(expected)


@pytest.mark.skipif(not K2HGD.is_dir(), reason=f"the K2HGD annotations are not at {K2HGD}")
def test_k2hgd_skeletons_are_in_our_order():
    pixels = K2hgdAnnotations.read(K2HGD).pixels
    height = [pixels[:, INDEX[j], 1].mean() for j in ("Head", "Neck", "UpperSpine", "MiddleSpine")]
    height += [pixels[:, INDEX[j], 1].mean() for j in ("DownSpine", "RightKnee", "RightFoot")]
    assert height == sorted(height)
    for part in ("Shoulder", "Elbow", "Hip", "Knee"):
        right, left = pixels[:, INDEX["Right" + part], 0], pixels[:, INDEX["Left" + part], 0]
        assert (right < left).mean() > 0.8
    for side, other in (("Right", "Left"), ("Left", "Right")):
        for a, b in (("Elbow", "Wrist"), ("Wrist", "Hand"), ("Knee", "Foot")):
            joint = pixels[:, INDEX[side + a]]
            own = np.linalg.norm(joint - pixels[:, INDEX[side + b]], axis=1)
            swapped = np.linalg.norm(joint - pixels[:, INDEX[other + b]], axis=1)
            assert (own < swapped).mean() > 0.8


def test_missing_annotations_are_reported(tmp_path):
    with pytest.raises(DatasetError, match=r"k2hpd_keypoints_train\.mat is missing"):
        K2hgdAnnotations.read(tmp_path)
