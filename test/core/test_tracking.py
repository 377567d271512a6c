"""Ids that last and joints that do not jitter."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_ros.core.tracking import Tracker, TrackerOptions
from helpers.poses import CAMERA, standing

DT = 1 / 30
ARM = ("Shoulder", "Elbow", "Wrist", "Hand")


def ids(people):
    return [person.id for person in people]


def see(tracker, frames, start=0.0):
    """Feed lists of poses at 30 Hz; the last frame's people."""
    people = []
    for i, poses in enumerate(frames):
        people = tracker.update(poses, start + i * DT)
    return people


def test_low_scores_need_a_second_detection():
    tracker = Tracker(TrackerOptions(confirm_time=0.0))
    sure, unsure = standing(x=-0.5, confidence=0.9), standing(x=0.5, confidence=0.4)
    assert ids(tracker.update([unsure, sure], 0.0)) == [0]
    assert ids(tracker.update([unsure, sure], DT)) == [0, 1]


def test_id_does_not_depend_on_order_or_position():
    tracker, steps = Tracker(), 60
    for i in range(steps):
        x = -0.8 + 1.6 * i / steps
        people = tracker.update([standing(x=x, z=2.0), standing(x=-x, z=3.0)][:: (-1) ** i], i * DT)
        assert ids(people) == [0, 1]
        depth = [person.pose.joints[INDEX["DownSpine"], 2] for person in people]
        assert depth == pytest.approx([2.0, 3.0], abs=0.1)


def test_short_gap_is_predicted_and_id_survives_a_longer_one():
    tracker = Tracker(TrackerOptions(predict_time=0.1, max_age=1.0))
    see(tracker, [[standing()]] * 10)
    bridged = tracker.update([], 10 * DT)
    assert ids(bridged) == [0] and bridged[0].predicted
    assert (bridged[0].pose.confidence < 0.9).all()
    assert tracker.update([], 20 * DT) == []
    back = tracker.update([standing(x=0.1)], 30 * DT)
    assert ids(back) == [0] and not back[0].predicted
    assert ids(tracker.update([standing()], 30 * DT + 1.1)) == [1]


def test_id_survives_a_turn_while_hidden_unlike_false_positives():
    tracker = Tracker()
    walk = [[standing(x=-1.0 + 1.2 * i * DT)] for i in range(30)]
    (seen,) = see(tracker, walk)
    there = seen.pose.joints[INDEX["DownSpine"], 0]
    tracker.update([], 40 * DT)
    assert tracker.update([standing(x=there + 0.6, z=3.4, confidence=0.4)], 59 * DT) == []
    (back,) = tracker.update([standing(x=there - 0.2)], 60 * DT)
    assert back.id == seen.id
    np.testing.assert_allclose(back.pose.joints, standing(x=there - 0.2).joints, atol=0.02)


def test_backward_time_resets_the_tracker():
    tracker = Tracker()
    see(tracker, [[standing(x=-0.5), standing(x=0.5)]] * 3, start=100.0)
    tracker.update([standing(x=-0.5)], 99.5)  # late, or a clock put right
    assert ids(tracker.update([standing(x=-0.5)], 100.1)) == [0, 1]
    (person,) = tracker.update([standing(x=0.5)], 3.0)
    assert (person.id, person.age) == (0, 0.0)
    np.testing.assert_allclose(person.pose.joints, standing(x=0.5).joints, atol=1e-6)


def test_reset_clears_all_tracks():
    tracker = Tracker()
    see(tracker, [[standing()]] * 3)
    tracker.reset()
    assert tracker.update([], 1.0) == []
    assert ids(tracker.update([standing()], 0.5)) == [0]


def test_duplicates_get_no_id():
    tracker = Tracker()
    for i in range(10):
        assert ids(tracker.update([standing(), standing(x=0.06, confidence=0.8)], i * DT)) == [0]
    assert ids(tracker.update([standing(x=1.0)], 10 * DT)) == [0, 1]


def test_swapped_arms_are_corrected():
    right, left = ([INDEX[side + name] for name in ARM] for side in ("Right", "Left"))
    tracker, pose = Tracker(), standing()
    see(tracker, [[pose]] * 10)
    wrong = pose.joints.copy()
    wrong[right + left] = pose.joints[left + right]
    for i in range(10, 20):
        (person,) = tracker.update([replace(pose, joints=wrong)], i * DT)
        np.testing.assert_allclose(person.pose.joints, pose.joints, atol=0.01)
    for i in range(20, 60):
        (person,) = tracker.update([replace(pose, joints=wrong)], i * DT)
    np.testing.assert_allclose(person.pose.joints, wrong, atol=0.01)


def test_confidence_follows_the_measurements():
    tracker = Tracker()
    see(tracker, [[standing(confidence=0.9)]] * 10)
    people = see(tracker, [[standing(confidence=0.2)]] * 60, start=10 * DT)
    np.testing.assert_allclose(people[0].pose.confidence, 0.2, atol=0.1)


def test_pixels_are_the_filtered_joints():
    tracker = Tracker()
    (person,) = tracker.update([standing()], 0.0, CAMERA)
    np.testing.assert_allclose(person.pose.pixels, CAMERA.project(person.pose.joints), atol=1e-3)
    (person,) = tracker.update([standing()], DT)
    assert np.isnan(person.pose.pixels).all()


@pytest.mark.parametrize("stamp", [math.nan, math.inf])
def test_non_finite_stamp_is_refused(stamp):
    with pytest.raises(ValueError, match="stamp must be a finite number"):
        Tracker().update([], stamp)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_age", -1.0), ("predict_time", math.nan), ("smoothing", 11.0), ("confirm_score", 2.0)],
)
def test_options_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        TrackerOptions(**{name: value})


@st.composite
def any_pose(draw):
    """A person somewhere, or nonsense."""
    x, z = draw(st.floats(-3, 3)), draw(st.floats(0.3, 6))
    pose = standing(x=x, z=z, confidence=draw(st.floats(0, 1)), yaw=draw(st.floats(-3, 3)))
    joints, confidence = pose.joints.copy(), pose.confidence.copy()
    for _ in range(draw(st.integers(0, 12))):
        joint = draw(st.integers(0, NUM_JOINTS - 1))
        joints[joint, draw(st.integers(0, 2))] = draw(st.floats(width=32))
        confidence[joint] = draw(st.floats(width=32))
    return Pose(joints, pose.pixels, confidence, pose.score)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(any_pose(), max_size=4),
            st.one_of(st.just(0.0), st.floats(-2, 3), st.sampled_from((-1e9, 1e9, 1e-12))),
        ),
        max_size=12,
    ),
    st.sampled_from((0.0, 1.0, 10.0)),
)
def test_tracks_are_finite_and_distinct_for_any_input(frames, smoothing):
    tracker, stamp = Tracker(TrackerOptions(smoothing=smoothing)), 0.0
    for poses, step in frames:
        stamp += step
        people = tracker.update(poses, stamp)
        assert len(set(ids(people))) == len(people) <= 64
        for person in people:
            assert np.isfinite(person.pose.joints).all()
            assert ((person.pose.confidence >= 0) & (person.pose.confidence <= 1)).all()
            assert 0 <= person.pose.score <= 1 and person.age >= 0


def _scored(score: float) -> Pose:
    return replace(standing(), score=score)


def _ids(tracker: Tracker, scores: list[float], min_new_score: float = 0.5) -> list[int]:
    """How many people are published in each frame of a person with these scores, 10 Hz."""
    return [
        len(tracker.update([_scored(s)], k / 10, min_new_score=min_new_score))
        for k, s in enumerate(scores)
    ]


def test_new_people_need_a_higher_score_than_tracked_ones() -> None:
    assert _ids(Tracker(), [0.45] * 20) == [0] * 20
    assert _ids(Tracker(), [0.9, 0.35, 0.35]) == [1, 1, 1]


def test_people_with_lower_scores_are_published_later() -> None:
    options = TrackerOptions(confirm_score=0.8, confirm_time=1.0)
    first = [_ids(Tracker(options), [score] * 12).index(1) for score in (0.8, 0.71, 0.56)]
    assert first == [0, 3, 8]  # tenths of a second


def test_a_mean_score_below_the_minimum_is_never_published() -> None:
    assert _ids(Tracker(), [0.55] + [0.35] * 30) == [0] * 31
