"""Limits of bone lengths."""

import numpy as np
import pytest

from depth_pose_ros.core.body_plausibility import (
    MAX_BONE_LENGTHS,
    bone_lengths,
    is_plausible,
    limit_bones,
)
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


def test_three_long_bones_are_not_plausible() -> None:
    joints = standing().joints.copy()
    for count, joint in enumerate(("LeftFoot", "RightFoot", "LeftHand"), start=1):
        joints[INDEX[joint]] += (0.0, 0.0, 1.4)
        assert is_plausible(joints) == (count < 3)
    assert is_plausible(np.stack((joints, standing().joints))).tolist() == [False, True]


def test_long_bones_are_shortened_and_others_kept() -> None:
    joints = standing().joints.astype(np.float64)
    assert np.array_equal(limit_bones(joints), joints)
    knee, foot = INDEX["LeftKnee"], INDEX["LeftFoot"]
    joints[knee] = joints[INDEX["LeftHip"]] + (0.0, 1.4, 0.0)
    limited = limit_bones(joints)
    np.testing.assert_allclose(limited[knee] - limited[INDEX["LeftHip"]], (0.0, 0.66885, 0.0))
    assert (bone_lengths(limited) <= MAX_BONE_LENGTHS + 1e-9).all()
    others = [k for k in range(19) if k not in (knee, foot)]
    np.testing.assert_array_equal(limited[others], joints[others])
    wild = np.random.default_rng(0).normal(size=(5, 19, 3))
    assert (bone_lengths(limit_bones(wild)) <= MAX_BONE_LENGTHS + 1e-9).all()
