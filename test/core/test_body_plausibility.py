"""Limits of bone lengths."""

import numpy as np
import pytest

from depth_pose_ros.core.body_plausibility import MAX_BONE_LENGTHS, bone_lengths, is_plausible
from depth_pose_ros.core.skeleton import EDGES, INDEX, JOINTS
from helpers.poses import standing


def test_bone_lengths_equal_a_naive_version() -> None:
    joints = np.random.default_rng(0).normal(size=(3, 19, 3))
    for body, lengths in zip(joints, bone_lengths(joints), strict=True):
        naive = [np.linalg.norm(body[e.parent] - body[e.child]) for e in EDGES]
        np.testing.assert_allclose(lengths, naive)


def test_limits_are_those_of_the_tallest_people() -> None:
    limit = {JOINTS[e.child]: length for e, length in zip(EDGES, MAX_BONE_LENGTHS, strict=True)}
    assert limit["LeftKnee"] == limit["RightKnee"] == pytest.approx(0.669, abs=1e-3)
    assert max(limit.values()) < 0.7


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.2])
def test_children_and_adults_are_plausible(scale: float) -> None:
    assert is_plausible(scale * standing().joints)


def test_foreshortened_bones_are_plausible() -> None:
    joints = standing().joints.copy()
    joints[:, 1] *= 0.2  # seen from above
    assert is_plausible(joints)


@pytest.mark.parametrize("joint", ["LeftKnee", "RightFoot", "LeftWrist", "Head"])
def test_one_bone_beyond_its_limit_is_not_plausible(joint: str) -> None:
    joints = standing().joints.copy()
    joints[INDEX[joint]] += (0.0, 0.0, 1.4)
    assert not is_plausible(joints)
    assert is_plausible(np.stack((joints, standing().joints))).tolist() == [False, True]
