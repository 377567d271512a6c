"""Heights of joints above the floor, on a drawn silhouette."""

from types import SimpleNamespace

import numpy as np
import pytest

from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.evaluation import proportions


def standing():
    """A person of 100 pixels: joints (19, 3) in metres and (19, 2) in pixels, and silhouette."""
    pixels = np.zeros((NUM_JOINTS, 2))
    rows = {
        "Head": 17, "Neck": 25, "UpperSpine": 30, "MiddleSpine": 45, "DownSpine": 58,
        "Shoulder": 30, "Elbow": 47, "Wrist": 60, "Hand": 66, "Hip": 60, "Knee": 82, "Foot": 106,
    }  # fmt: skip
    for name, row in rows.items():
        for side, column in (("Left", 60), ("Right", 40), ("", 50)):
            if side + name in INDEX:
                pixels[INDEX[side + name]] = column, row
    mask = np.zeros((120, 100), dtype=bool)
    mask[10:110, 35:65] = True
    joints = np.column_stack((pixels / 60, np.full(NUM_JOINTS, 3.0)))
    return joints, pixels, mask


def test_heights_over_the_silhouette():
    _, pixels, mask = standing()
    shares = proportions.heights(mask, pixels)
    assert shares[INDEX["LeftFoot"]] == pytest.approx(0.04)
    assert shares[INDEX["RightHip"]] == pytest.approx(0.50)
    assert shares[INDEX["Head"]] == pytest.approx(0.93)


def test_unmeasurable_frames_are_skipped():
    _, pixels, mask = standing()
    raised = pixels.copy()
    raised[INDEX["LeftHand"], 1] = 5
    assert proportions.heights(mask, raised) is None
    for column in (90, -20):
        aside = pixels.copy()
        aside[INDEX["LeftFoot"], 0] = column
        assert proportions.heights(mask, aside) is None
    assert proportions.heights(np.zeros_like(mask), pixels) is None


@pytest.mark.parametrize("name", ["LeftKnee", "RightFoot", "UpperSpine"])
def test_only_upright_people_are_measured(name):
    joints, _, _ = standing()
    assert proportions.upright(joints)
    joints[INDEX[name], 2] -= 0.4
    assert not proportions.upright(joints)


def test_frames_without_upright_people_are_skipped():
    joints, pixels, mask = standing()
    bent = joints.copy()
    bent[INDEX["LeftKnee"], 2] -= 0.4
    people = [
        [SimpleNamespace(joints=j, pixels=pixels, score=s) for j, s in found]
        for found in ([(joints, 0.9)], [], [(joints, 0.5), (bent, 0.9)])
    ]
    estimator = SimpleNamespace(estimate=lambda depth, camera: people.pop(0))
    frame = SimpleNamespace(depth=np.where(mask, 3.0, np.nan), camera=None)
    shares = proportions.of_frames(estimator, iter([frame] * 3))
    assert shares.shape == (1, NUM_JOINTS)
    assert proportions.of_frames(SimpleNamespace(estimate=lambda *_: []), iter([frame])).shape == (
        0,
        NUM_JOINTS,
    )
