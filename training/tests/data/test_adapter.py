"""The joint adapter on constructed definitions of joints."""

from dataclasses import replace

import numpy as np
import pytest

from depth_pose_ros.core.skeleton import EDGES, FLIP_INDEX, INDEX, JOINTS, NUM_JOINTS
from depth_pose_training.data.datasets.adapter import (
    TOWARDS,
    AdapterError,
    JointAdapter,
    body_frames,
)

#: A person who faces the camera, metres, optical frame (x right, y down): right is at negative x.
STANDING = {
    "Head": (0, -0.75, 0),
    "Neck": (0, -0.6, 0),
    "UpperSpine": (0, -0.5, 0),
    "MiddleSpine": (0, -0.25, 0),
    "DownSpine": (0, 0, 0),
    "LeftShoulder": (0.18, -0.48, 0),
    "LeftElbow": (0.25, -0.2, 0),
    "LeftWrist": (0.28, 0.05, -0.05),
    "LeftHand": (0.28, 0.13, -0.06),
    "LeftHip": (0.1, 0.03, 0),
    "LeftKnee": (0.12, 0.45, 0),
    "LeftFoot": (0.13, 0.88, 0.02),
}
for _name in [n for n in STANDING if n.startswith("Left")]:
    _x, _y, _z = STANDING[_name]
    STANDING["Right" + _name[4:]] = (-_x, _y, _z)

LIMBS = [k for k, n in enumerate(JOINTS) if n.endswith(("Elbow", "Wrist", "Hand", "Knee", "Foot"))]


def people(count, seed=0):
    """(count, 19, 3) bodies of several sizes, turned about the vertical, limbs moved at random."""
    rng = np.random.default_rng(seed)
    rest = np.array([STANDING[name] for name in JOINTS], dtype=float)
    bodies = []
    for _ in range(count):
        body = rest.copy()
        body[LIMBS] += rng.normal(0, 0.1, (len(LIMBS), 3))
        angle = rng.uniform(-np.pi, np.pi)
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array(((c, 0, s), (0, 1, 0), (-s, 0, c)))
        bodies.append(rng.uniform(0.7, 1.2) * body @ turn.T + (rng.normal(), 0.2, 3.0))
    return np.array(bodies)


def tracker(ours):
    """Another definition: hip centre higher, hips higher and wider, hands nearer to the wrists."""
    rotation, scale, _ = body_frames(ours)

    def off(left, up, forward):
        return np.einsum("nij,j->ni", rotation * scale[:, None, None], (left, up, forward))

    theirs = ours.copy()

    def toward(a, b, share):
        return share * (ours[:, INDEX[b]] - ours[:, INDEX[a]])

    theirs[:, INDEX["DownSpine"]] += off(0, 0.15, 0)
    theirs[:, INDEX["LeftHip"]] += off(0.05, 0.2, 0.02)
    theirs[:, INDEX["RightHip"]] += off(-0.05, 0.2, 0.02)
    theirs[:, INDEX["LeftKnee"]] += toward("LeftKnee", "LeftHip", 0.1) + off(0, 0, 0.03)
    theirs[:, INDEX["RightKnee"]] += toward("RightKnee", "RightHip", 0.1) + off(0, 0, 0.03)
    theirs[:, INDEX["LeftHand"]] += toward("LeftHand", "LeftElbow", -0.1)
    theirs[:, INDEX["RightHand"]] += toward("RightHand", "RightElbow", -0.1)
    theirs[:, INDEX["Head"]] += off(0, 0.1, -0.05)
    return theirs


def grown(ours):
    """Those and, lower in small people and higher in tall ones, the middle of the spine."""
    rotation, scale, _ = body_frames(ours)
    bones = sum(error(ours[:, e.parent], ours[:, e.child]) for e in EDGES)
    up = 0.5 * (bones / 4 - 1)[:, None] * scale[:, None] * rotation[:, :, 1]
    theirs = tracker(ours)
    theirs[:, INDEX["MiddleSpine"]] += up
    return theirs


def error(a, b):
    return np.linalg.norm(a - b, axis=-1)


ALL = np.ones((200, NUM_JOINTS), dtype=bool)


def test_body_frame_of_a_person_facing_the_camera():
    rotation, scale, sound = body_frames(np.array([[STANDING[n] for n in JOINTS]]))
    assert sound.all()
    assert scale == pytest.approx([0.5])
    left, up, forward = rotation[0].T
    assert left == pytest.approx((1, 0, 0))
    assert up == pytest.approx((0, -1, 0))
    assert forward == pytest.approx((0, 0, -1))  # towards the camera
    assert np.linalg.det(rotation[0]) == pytest.approx(1)


def test_constructed_definition_is_found_and_carries_over():
    train, test = people(200), people(50, seed=1)
    adapter = JointAdapter.fit(train, tracker(train), ALL, ridge=1e-9)
    assert error(test, tracker(test)).max() > 0.05
    assert error(adapter.apply(test), tracker(test)).max() < 1e-3
    assert adapter.shares[INDEX["RightKnee"]] == pytest.approx(0.1, abs=1e-3)
    assert adapter.offsets[INDEX["RightHip"]] == pytest.approx((-0.05, 0.2, 0.02), abs=1e-3)


def test_definition_that_changes_with_size_is_found():
    train, test = people(200), people(50, seed=1)
    adapter = JointAdapter.fit(train, grown(train), ALL, ridge=1e-9)
    middle = INDEX["MiddleSpine"]
    assert error(grown(test), tracker(test))[:, middle].max() > 0.02
    assert adapter.growths[middle] == pytest.approx((0, 0.5, 0), abs=0.05)
    assert np.abs(np.delete(adapter.growths, middle, axis=0)).max() < 1e-3
    assert error(adapter.apply(test), grown(test)).max() < 5e-3  # ridge, and sizes cut off


def test_beyond_the_sizes_that_the_fit_saw_nothing_grows():
    train = people(200)
    adapter = JointAdapter.fit(train, grown(train), ALL)
    offset = []
    for factor in (3.0, 4.0):
        giants = factor * train[:5]
        _, scale, _ = body_frames(giants)
        offset.append((adapter.apply(giants) - giants) / scale[:, None, None])
    assert offset[0] == pytest.approx(offset[1])


def test_growth_does_not_repair_noise():
    """An estimate's errors change its size, too, but of one person that hardly helps."""
    one = np.repeat(people(1), 400, axis=0)
    noisy = one + np.random.default_rng(7).normal(0, 0.03, one.shape)
    adapter = JointAdapter.fit(noisy[:200], tracker(one[:200]), ALL)
    plain = replace(adapter, growths=np.zeros((NUM_JOINTS, 3)))
    adapted, without = (
        error(a.apply(noisy[200:]), tracker(one[200:])).mean() for a in (adapter, plain)
    )
    assert adapted > 0.96 * without


def test_left_and_right_mirror_each_other():
    """Also where only right-hand truth is known."""
    train = people(200)
    valid = ALL.copy()
    valid[:, [k for k, n in enumerate(JOINTS) if n.startswith("Left")]] = False
    adapter = JointAdapter.fit(train, tracker(train), valid, ridge=1e-9)
    test = people(20, seed=2)
    assert error(adapter.apply(test), tracker(test)).max() < 1e-3
    mirror = np.array(FLIP_INDEX)
    assert adapter.shares == pytest.approx(adapter.shares[mirror])
    assert adapter.offsets == pytest.approx(adapter.offsets[mirror] * (-1, 1, 1))
    assert adapter.offsets[INDEX["Head"], 0] == pytest.approx(0)


def test_joint_without_truth_is_left_alone():
    train = people(200)
    theirs = tracker(train)
    theirs[:, INDEX["Neck"]] = np.nan
    adapter = JointAdapter.fit(train, theirs, ALL)
    assert (adapter.apply(train)[:, INDEX["Neck"]] == train[:, INDEX["Neck"]]).all()


def test_fit_is_robust_to_failed_estimates():
    train = people(200)
    theirs = tracker(train)
    estimates = train + np.random.default_rng(3).normal(0, 0.01, train.shape)
    estimates[:20, :, :] = people(20, seed=9) + (0, 0, 1.0)  # another person
    estimates[20:30] = np.nan  # not detected
    adapter = JointAdapter.fit(estimates, theirs, ALL)
    test = people(50, seed=1)
    assert np.median(error(adapter.apply(test), tracker(test))) < 0.01


def test_only_limbs_move_along_a_bone():
    train = people(200)
    adapter = JointAdapter.fit(train, tracker(train), ALL)
    assert set(np.flatnonzero(adapter.shares)) <= set(LIMBS)
    assert all((TOWARDS[k] != k) == (k in LIMBS) for k in range(NUM_JOINTS))
    assert JOINTS[TOWARDS[INDEX["LeftHand"]]] == "LeftElbow"
    assert JOINTS[TOWARDS[INDEX["RightFoot"]]] == "RightKnee"


def test_ridge_leaves_only_offsets():
    train = people(200)
    adapter = JointAdapter.fit(train, tracker(train), ALL, ridge=1e9)
    assert np.abs(adapter.shares).max() < 1e-6
    assert adapter.offsets[INDEX["Head"]] == pytest.approx((0, 0.1, -0.05), abs=1e-6)


def test_noise_is_not_repaired():
    """Where both mean the same joints, an estimate's errors stay (nearly) what they are."""
    truth = people(400)
    noisy = truth + np.random.default_rng(6).normal(0, 0.03, truth.shape)
    adapter = JointAdapter.fit(noisy[:200], truth[:200], ALL)
    raw, adapted = error(noisy[200:], truth[200:]), error(adapter.apply(noisy[200:]), truth[200:])
    assert adapted.mean() > 0.97 * raw.mean()


def test_moves_with_the_person():
    """Turning and moving a skeleton does the same to its adapted joints; scaling too, where the
    definition is the same for all sizes."""
    train, test = people(200), people(5, seed=4)
    adapter = JointAdapter.fit(train, tracker(train), ALL)
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    for scale, used in ((1.0, adapter), (1.5, replace(adapter, sizes=(0.0, 0.0)))):
        moved = scale * test @ turn.T + (0.3, -0.1, 2)
        expected = scale * used.apply(test) @ turn.T + (0.3, -0.1, 2)
        assert used.apply(moved) == pytest.approx(expected)


def test_skeletons_without_direction_come_back():
    adapter = JointAdapter.fit(people(200), tracker(people(200)), ALL)
    odd = np.stack((np.full((NUM_JOINTS, 3), np.nan), np.ones((NUM_JOINTS, 3))))
    assert adapter.apply(odd) == pytest.approx(odd, nan_ok=True)


def test_saved_and_loaded(tmp_path):
    adapter = JointAdapter.fit(people(200), tracker(people(200)), ALL)
    adapter.save(tmp_path / "adapter.json")
    loaded = JointAdapter.load(tmp_path / "adapter.json")
    assert (loaded.shares == adapter.shares).all()
    assert (loaded.offsets == adapter.offsets).all()
    assert (loaded.growths == adapter.growths).all()
    assert loaded.sizes == adapter.sizes


@pytest.mark.parametrize("text", ["", "{}", '{"format": "another"}', "[1]"])
def test_other_files_are_errors(tmp_path, text):
    (tmp_path / "adapter.json").write_text(text)
    with pytest.raises(AdapterError, match=r"adapter\.json is not a joint adapter"):
        JointAdapter.load(tmp_path / "adapter.json")


def test_nothing_to_fit_is_an_error():
    empty = np.full((3, NUM_JOINTS, 3), np.nan)
    with pytest.raises(AdapterError, match="no skeleton to fit"):
        JointAdapter.fit(empty, people(3), ALL[:3])
    with pytest.raises(AdapterError, match="must be"):
        JointAdapter.fit(people(3), people(2), ALL[:3])
