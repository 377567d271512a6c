"""The joint adapter on constructed definitions of joints."""

import numpy as np
import pytest

from depth_pose_ros.skeleton import EDGES, INDEX, JOINTS, MIRROR, NUM_JOINTS
from depth_pose_training.datasets.adapter import (
    NEIGHBOURS,
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

    theirs[:, INDEX["DownSpine"]] += toward("DownSpine", "MiddleSpine", 0.3)
    theirs[:, INDEX["LeftHip"]] += toward("LeftHip", "LeftKnee", -0.2) + off(0.05, 0, 0.02)
    theirs[:, INDEX["RightHip"]] += toward("RightHip", "RightKnee", -0.2) + off(-0.05, 0, 0.02)
    theirs[:, INDEX["LeftHand"]] += toward("LeftHand", "LeftWrist", -0.4)
    theirs[:, INDEX["RightHand"]] += toward("RightHand", "RightWrist", -0.4)
    theirs[:, INDEX["Head"]] += off(0, 0.1, -0.05)
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


def test_left_and_right_mirror_each_other():
    """Also where only right-hand truth is known."""
    train = people(200)
    valid = ALL.copy()
    valid[:, [k for k, n in enumerate(JOINTS) if n.startswith("Left")]] = False
    adapter = JointAdapter.fit(train, tracker(train), valid, ridge=1e-9)
    test = people(20, seed=2)
    assert error(adapter.apply(test), tracker(test)).max() < 1e-3
    mirror = np.array(MIRROR)
    assert adapter.weights == pytest.approx(adapter.weights[np.ix_(mirror, mirror)])
    assert adapter.offsets == pytest.approx(adapter.offsets[mirror] * (-1, 1, 1))
    assert adapter.offsets[INDEX["Head"], 0] == pytest.approx(0)


def test_joint_without_truth_is_left_alone():
    train = people(200)
    theirs = tracker(train)
    theirs[:, INDEX["Neck"]] = np.nan
    adapter = JointAdapter.fit(train, theirs, ALL)
    assert (adapter.apply(train)[:, INDEX["Neck"]] == train[:, INDEX["Neck"]]).all()


def test_failed_estimates_do_not_steer_the_fit():
    train = people(200)
    theirs = tracker(train)
    estimates = train + np.random.default_rng(3).normal(0, 0.01, train.shape)
    estimates[:20, :, :] = people(20, seed=9) + (0, 0, 1.0)  # somebody else
    estimates[20:30] = np.nan  # nobody
    adapter = JointAdapter.fit(estimates, theirs, ALL)
    test = people(50, seed=1)
    assert np.median(error(adapter.apply(test), tracker(test))) < 0.01


def test_few_parameters():
    """It cannot learn more than neighbours and an offset: strong noise stays."""
    train = people(200)
    adapter = JointAdapter.fit(train, tracker(train), ALL)
    neighbours = {(k, n) for k, near in enumerate(NEIGHBOURS) for n in near}
    assert neighbours == {(e.parent, e.child) for e in EDGES} | {(e.child, e.parent) for e in EDGES}
    assert {tuple(i) for i in np.argwhere(adapter.weights)} <= neighbours


def test_ridge_holds_the_numbers_at_zero():
    train = people(200)
    adapter = JointAdapter.fit(train, tracker(train), ALL, ridge=1e9)
    assert error(adapter.apply(train), train).max() < 1e-6


def test_moves_with_the_person():
    """Turning, moving and scaling a skeleton does the same to its adapted joints."""
    train, test = people(200), people(5, seed=4)
    adapter = JointAdapter.fit(train, tracker(train), ALL)
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    moved = 1.5 * test @ turn.T + (0.3, -0.1, 2)
    expected = 1.5 * adapter.apply(test) @ turn.T + (0.3, -0.1, 2)
    assert adapter.apply(moved) == pytest.approx(expected)


def test_skeletons_without_direction_come_back():
    adapter = JointAdapter.fit(people(200), tracker(people(200)), ALL)
    odd = np.stack((np.full((NUM_JOINTS, 3), np.nan), np.ones((NUM_JOINTS, 3))))
    assert adapter.apply(odd) == pytest.approx(odd, nan_ok=True)


def test_saved_and_loaded(tmp_path):
    adapter = JointAdapter.fit(people(200), tracker(people(200)), ALL)
    adapter.save(tmp_path / "adapter.json")
    loaded = JointAdapter.load(tmp_path / "adapter.json")
    assert (loaded.weights == adapter.weights).all()
    assert (loaded.offsets == adapter.offsets).all()


@pytest.mark.parametrize("text", ["", "{}", '{"format": "another"}', "[1]"])
def test_foreign_files_are_refused(tmp_path, text):
    (tmp_path / "adapter.json").write_text(text)
    with pytest.raises(AdapterError, match=r"adapter\.json is no joint adapter"):
        JointAdapter.load(tmp_path / "adapter.json")


def test_nothing_to_fit_is_an_error():
    nobody = np.full((3, NUM_JOINTS, 3), np.nan)
    with pytest.raises(AdapterError, match="was nobody found"):
        JointAdapter.fit(nobody, people(3), ALL[:3])
    with pytest.raises(AdapterError, match="must be"):
        JointAdapter.fit(people(3), people(2), ALL[:3])
