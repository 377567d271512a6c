"""The tracker's parts, one by one."""

from itertools import permutations

import numpy as np
import pytest

from depth_pose_ros.core.body_plausibility import bone_lengths
from depth_pose_ros.core.skeleton import EDGES, FLIP_INDEX, INDEX, NUM_JOINTS
from depth_pose_ros.core.tracking import joint_filter
from depth_pose_ros.core.tracking.association import SAME_SPINE, assign, without_duplicates
from depth_pose_ros.core.tracking.body_motion import BodyMotion
from depth_pose_ros.core.tracking.bones import Bones, weighted_median
from depth_pose_ros.core.tracking.joint_filter import JointFilter
from depth_pose_ros.core.tracking.sides import Sides
from helpers.poses import standing

RNG = np.random.default_rng
SURE = np.full(NUM_JOINTS, 0.9)
BODY = standing().joints.astype(np.float64)


def naive_assignment(cost):
    """Most pairs first, then least cost, by trying everything."""
    rows, columns = cost.shape
    best = (0, 0.0, [])
    for order in permutations([*range(columns), *[None] * rows], rows):
        pairs = [(i, j) for i, j in enumerate(order) if j is not None and np.isfinite(cost[i, j])]
        total = sum(cost[i, j] for i, j in pairs)
        if (-len(pairs), total) < (-best[0], best[1]):
            best = (len(pairs), total, pairs)
    return best


@pytest.mark.parametrize("seed", range(30))
def test_assignment_is_optimal(seed):
    rng = RNG(seed)
    cost = rng.uniform(0, 2, rng.integers(0, 4, 2))
    cost[rng.random(cost.shape) < 0.4] = np.inf
    pairs = assign(cost)
    count, total, _ = naive_assignment(cost)
    assert len(pairs) == count
    assert sum(cost[i, j] for i, j in pairs) == pytest.approx(total)


def test_duplicate_poses_are_dropped():
    sure, unsure = standing(confidence=0.9), standing(x=0.05, confidence=0.7)
    other = standing(x=SAME_SPINE + 0.05, confidence=0.8)
    assert without_duplicates([unsure, other, sure]) == [sure, other]


def naive_median(values, weights):
    if weights.sum() == 0:
        return np.nan
    total = 0.0
    for value, weight in sorted(zip(values, weights, strict=True)):
        total += weight
        if total >= weights.sum() / 2:
            return value
    raise AssertionError


@pytest.mark.parametrize("seed", range(10))
def test_weighted_medians(seed):
    rng = RNG(seed)
    values, weights = rng.normal(size=(11, 5)), rng.integers(0, 4, (11, 5)).astype(float)
    weights[:, 2] = 0
    wanted = [naive_median(values[:, k], weights[:, k]) for k in range(5)]
    np.testing.assert_array_equal(weighted_median(values, weights), wanted)


def settled_bones():
    bones = Bones()
    for seed in range(30):
        bones.update(BODY + RNG(seed).normal(0, 0.01, BODY.shape), SURE)
    return bones


def test_bone_lengths_converge_despite_outliers():
    bones = Bones()
    assert np.isnan(bones.length).all()
    for seed in range(60):
        joints = BODY + RNG(seed).normal(0, 0.01, BODY.shape)
        if seed % 3 == 0:
            joints[INDEX["LeftHand"]] += 1.0  # a median does not care
        bones.update(joints, SURE)
    np.testing.assert_allclose(bones.length, bone_lengths(BODY), atol=0.015)
    assert bones.difference(BODY, SURE) < 0.01
    assert bones.difference(1.2 * BODY, SURE) > 0.02


def test_bone_lengths_move_low_confidence_joints_only():
    bones, joints, variance = settled_bones(), BODY.copy(), np.full(NUM_JOINTS, 1e-6)
    elbow, wrist = INDEX["LeftElbow"], INDEX["LeftWrist"]
    joints[wrist] += (joints[wrist] - joints[elbow]) * 1.0
    variance[wrist] = 0.1**2
    pulled = bones.pull(joints, variance)
    edge = [tuple(e) for e in EDGES].index((elbow, wrist))
    before, after = (abs(bone_lengths(j)[edge] - bones.length[edge]) for j in (joints, pulled))
    assert after < 0.3 * before
    others = np.arange(NUM_JOINTS) != wrist
    np.testing.assert_allclose(pulled[others], joints[others], atol=0.005)
    np.testing.assert_array_equal(Bones().pull(joints, variance), joints)  # nothing known yet


def test_hand_on_another_person_is_rejected():
    bones, joints = settled_bones(), BODY.copy()
    for name in ("RightWrist", "RightHand"):
        joints[INDEX[name]] += (-0.6, 0.0, 0.0)
    plausible = bones.plausibility(joints)
    taken = [INDEX["RightWrist"], INDEX["RightHand"]]
    assert (plausible[taken] < 0.05).all()
    assert (np.delete(plausible, taken) > 0.95).all()


def lively(filtered, joints, dt, count):
    for _ in range(count):
        filtered.predict(dt, np.zeros(3))
        filtered.correct(joints, SURE, dt)


def test_steady_motion_is_followed_without_lag():
    dt, speed = 1 / 30, np.array((1.0, 0.0, 0.5))
    filtered = JointFilter(BODY, SURE, 1.0)
    for step in range(1, 60):
        filtered.predict(dt, speed)
        filtered.correct(BODY + speed * step * dt, SURE, dt)
    np.testing.assert_allclose(filtered.position, BODY + speed * 59 * dt, atol=0.004)
    np.testing.assert_allclose(filtered.velocity, np.tile(speed, (NUM_JOINTS, 1)), atol=0.1)


def test_jump_is_accepted_when_repeated():
    hand, dt = INDEX["RightHand"], 1 / 30
    filtered = JointFilter(BODY, SURE, 1.0)
    lively(filtered, BODY, dt, 30)
    far = BODY.copy()
    far[hand, 0] -= 0.5
    lively(filtered, far, dt, 1)
    np.testing.assert_allclose(filtered.position, BODY, atol=0.01)
    lively(filtered, far, dt, 1)
    np.testing.assert_allclose(filtered.position, far, atol=0.01)


@pytest.mark.parametrize("fps", [10, 30])
def test_filter_recovers_from_two_bad_frames(fps):
    """Less than a jump, one to each side; what comes next is where it was."""
    filtered, aside = JointFilter(BODY, SURE, 1.0), np.array((0.0, 0.1, 0.0))
    lively(filtered, BODY, 1 / fps, 20)
    lively(filtered, BODY + aside, 1 / fps, 1)
    lively(filtered, BODY - aside / 2, 1 / fps, 1)
    lively(filtered, BODY, 1 / fps, 4)
    filtered.predict(1 / fps, np.zeros(3))
    np.testing.assert_allclose(filtered.position, BODY, atol=0.03)


def test_unmeasured_joints_move_with_the_body():
    dt = 1 / 30
    confidence = np.where(np.arange(NUM_JOINTS) == INDEX["LeftHand"], 0.0, 0.9)
    filtered = JointFilter(BODY, SURE, 1.0)
    for _ in range(30):
        filtered.predict(dt, np.array((1.0, 0.0, 0.0)))
        moved = filtered.position.copy()
        filtered.correct(moved, confidence, dt)
    np.testing.assert_allclose(filtered.velocity[INDEX["LeftHand"]], (1, 0, 0), atol=0.1)
    assert filtered.variance[INDEX["LeftHand"]] > 10 * filtered.variance[INDEX["RightHand"]]


def test_without_smoothing_measurements_are_unchanged():
    filtered = JointFilter(BODY, SURE, 0.0)
    moved = BODY + RNG(0).normal(0, 0.03, BODY.shape)
    lively(filtered, moved, 1 / 30, 1)
    assert np.abs(filtered.position - moved).max() < 1e-3
    assert joint_filter.JUMP > 0.1


def test_track_is_recovered_at_its_predicted_position():
    body = BodyMotion(np.zeros(3))
    for step in range(1, 31):
        body.predict(1 / 30, seen=True)
        body.correct(np.array((step / 30, 0.0, 2.0)))
    for _ in range(15):
        body.predict(1 / 30, seen=False)
    assert body.position[0] == pytest.approx(1.45, abs=0.08)
    assert 0 < body.velocity[0] < 1


@pytest.mark.parametrize(
    "names", [("Wrist", "Hand"), ("Shoulder", "Elbow", "Wrist", "Hand"), ("Hip", "Knee", "Foot")]
)
def test_swapped_limbs_are_corrected_and_accepted_if_persistent(names):
    sides, dt = Sides(), 0.1
    limb = np.array([INDEX[s + n] for s in ("Left", "Right") for n in names])
    wrong = np.arange(NUM_JOINTS)
    wrong[limb] = np.array(FLIP_INDEX)[limb]
    identity = np.arange(NUM_JOINTS)
    for _ in range(8):
        measurement, own = sides.match(BODY, BODY[wrong], SURE, dt)
        np.testing.assert_array_equal(measurement, wrong)
        np.testing.assert_array_equal(own, identity)
    measurement, own = sides.match(BODY, BODY[wrong], SURE, dt)
    np.testing.assert_array_equal(measurement, identity)
    np.testing.assert_array_equal(own, wrong)


def test_touching_limbs_are_not_swapped():
    joints = BODY.copy()
    joints[INDEX["LeftHand"]] = joints[INDEX["RightHand"]] + 0.03
    noisy = joints + RNG(1).normal(0, 0.02, joints.shape)
    for order in Sides().match(joints, noisy, SURE, 0.1):
        np.testing.assert_array_equal(order, np.arange(NUM_JOINTS))
