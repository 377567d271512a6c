"""The measure of crowds: who is found, made up, or holds a neighbour's hand."""

import numpy as np
import pytest

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.evaluation import crowds
from depth_pose_training.evaluation.crowds import STOLEN, look, measure, picture, report, stolen
from training_helpers.scenes import FixedPoses, scene


def test_a_perfect_estimate():
    frame, body = scene([0.0, 0.6])
    row = measure([look(FixedPoses(body, 0.0, 0.6), frame)])
    assert row["recall"] == 1
    assert row["false_per_frame"] == 0
    assert row["pdj_average"] == 1
    assert row["hands_on_a_neighbour"] == 0


def test_missed_and_made_up_people():
    frame, body = scene([0.0, 1.2])
    row = measure([look(FixedPoses(body, 0.0, 3.0), frame)] * 2)
    assert (row["frames"], row["people"], row["recall"], row["false_per_frame"]) == (2, 4, 0.5, 1)
    nobody = measure([look(FixedPoses(body), frame)])
    assert nobody["recall"] == 0
    assert nobody["pdj_10"] is None
    assert nobody["hands_on_a_neighbour"] is None


def test_people_hardly_in_sight_do_not_count():
    frame, body = scene([0.0, 1.2], asked=[False])
    row = measure([look(FixedPoses(body, 0.0, 1.2), frame)])
    assert (row["people"], row["recall"], row["false_per_frame"]) == (1, 1, 0)


@pytest.mark.parametrize("off", [0.5 * STOLEN, 1.5 * STOLEN])
def test_a_hand_is_stolen_when_it_is_near_a_neighbours(off):
    _, body = scene([0.0])
    people = np.stack((body, body + (2.0, 0, 0)))
    pose = body.copy()
    pose[INDEX["LeftHand"]] = people[1, INDEX["RightWrist"]] + (0, 0, off)
    other = np.linalg.norm(people[1, crowds._HANDS] - pose[INDEX["LeftHand"]], axis=1).min()
    expected = [False, False, False, other < STOLEN]
    assert stolen(pose, people, 0).tolist() == expected
    assert not stolen(body, people, 0).any()
    assert not stolen(pose, people[:1], 0).any()  # nobody else is there


def test_an_own_hand_that_touches_a_neighbours_is_not_stolen():
    _, body = scene([0.0])
    hand = INDEX["LeftHand"]
    neighbour = body + (2.0, 0, 0)
    neighbour[hand] = body[hand] + (0.05, 0, 0)
    assert not stolen(body, np.stack((body, neighbour)), 0).any()


def test_rows_by_number_and_a_picture():
    two, body = scene([0.0, 1.2])
    three, _ = scene([0.0, 1.2, -1.2])
    seen = [look(FixedPoses(body, 0.0), f) for f in (two, three, three)]
    rows = report(seen)
    assert {name: row["frames"] for name, row in rows.items()} == {"2": 1, "3": 2, "all": 3}
    assert rows["3"]["recall"] == pytest.approx(1 / 3, abs=1e-3)
    text = crowds.table(rows).splitlines()
    assert [line.split()[0] for line in text[1:]] == ["2", "3", "all"]
    assert picture(seen[1]).shape == (60, 80, 3)


def test_frames_are_rendered_with_so_many_people_and_repeat():
    def made(seed):
        return next(iter(crowds.rendered([], 1, seed)))

    first, again = made(3), made(3)
    assert first.counted.sum() == 2
    assert first.depth.shape == (424, 512)
    np.testing.assert_array_equal(first.depth, again.depth)


def test_the_command_needs_frames(capsys, tmp_path):
    with pytest.raises(SystemExit):
        crowds.main([])
    assert "--motion" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        crowds.main(["--root", str(tmp_path)])
    assert str(tmp_path) in capsys.readouterr().err
