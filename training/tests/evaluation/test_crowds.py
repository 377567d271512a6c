"""Metrics of crowds: recall, false positives, swapped hands."""

import numpy as np
import pytest

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation import crowds
from depth_pose_training.evaluation.crowds import (
    SWAP_DISTANCE,
    evaluate,
    measure,
    picture,
    summarize,
    swapped_joints,
)
from training_helpers.scenes import FixedPoses, scene


def test_perfect_estimate():
    frame, body = scene([0.0, 0.6])
    row = measure([evaluate(FixedPoses(body, 0.0, 0.6), frame)])
    assert row["recall"] == 1
    assert row["false_per_frame"] == 0
    assert row["pdj_average"] == 1
    assert row["hands_on_a_neighbour"] == 0


def test_missed_people_and_false_positives():
    frame, body = scene([0.0, 1.2])
    row = measure([evaluate(FixedPoses(body, 0.0, 3.0), frame)] * 2)
    assert (row["frames"], row["people"], row["recall"], row["false_per_frame"]) == (2, 4, 0.5, 1)
    missed = measure([evaluate(FixedPoses(body), frame)])
    assert missed["recall"] == 0
    assert missed["pdj_10"] is None
    assert missed["hands_on_a_neighbour"] is None


def test_hardly_visible_people_do_not_count():
    frame, body = scene([0.0, 1.2], counted=[False])
    row = measure([evaluate(FixedPoses(body, 0.0, 1.2), frame)])
    assert (row["people"], row["recall"], row["false_per_frame"]) == (1, 1, 0)


@pytest.mark.parametrize("off", [0.5 * SWAP_DISTANCE, 1.5 * SWAP_DISTANCE])
def test_hand_near_a_neighbours_hand_is_swapped(off):
    _, body = scene([0.0])
    people = np.stack((body, body + (2.0, 0, 0)))
    pose = body.copy()
    pose[INDEX["LeftHand"]] = people[1, INDEX["RightWrist"]] + (0, 0, off)
    other = np.linalg.norm(people[1, crowds._HANDS] - pose[INDEX["LeftHand"]], axis=1).min()
    expected = [False, False, False, other < SWAP_DISTANCE]
    assert swapped_joints(pose, people, 0).tolist() == expected
    assert not swapped_joints(body, people, 0).any()
    assert not swapped_joints(pose, people[:1], 0).any()  # without a neighbour


def test_hand_that_touches_a_neighbours_hand_is_not_swapped():
    _, body = scene([0.0])
    hand = INDEX["LeftHand"]
    neighbour = body + (2.0, 0, 0)
    neighbour[hand] = body[hand] + (0.05, 0, 0)
    assert not swapped_joints(body, np.stack((body, neighbour)), 0).any()


def test_rows_by_number_of_people_and_picture():
    two, body = scene([0.0, 1.2])
    three, _ = scene([0.0, 1.2, -1.2])
    results = [evaluate(FixedPoses(body, 0.0), f) for f in (two, three, three)]
    rows = summarize(results)
    assert {name: row["frames"] for name, row in rows.items()} == {"2": 1, "3": 2, "all": 3}
    assert rows["3"]["recall"] == pytest.approx(1 / 3, abs=1e-3)
    text = crowds.table(rows).splitlines()
    assert [line.split()[1] for line in text[2:]] == ["2", "3", "all"]
    assert picture(results[1]).shape == (60, 80, 3)


def test_rendered_frames_have_the_number_of_people_and_are_deterministic():
    def made(seed):
        return next(iter(crowds.rendered([], 1, seed)))

    first, again = made(3), made(3)
    assert first.counted.sum() == 2
    assert first.depth.shape == (424, 512)
    np.testing.assert_array_equal(first.depth, again.depth)


def test_command_needs_frames(tmp_path):
    with pytest.raises(UserError, match="--motion"):
        crowds.main([])
    with pytest.raises(UserError, match=str(tmp_path)):
        crowds.main(["--root", str(tmp_path)])
