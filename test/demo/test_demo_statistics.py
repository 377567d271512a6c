"""The demo's numbers and its choice of frames, on known stamps."""

import math

import numpy as np
import pytest

from depth_pose_ros.core.drawing import Person
from depth_pose_ros.demo.film import Film
from depth_pose_ros.demo.statistics import Latency, Statistics, Traffic
from helpers.demo_scene import scene
from helpers.poses import standing


def person() -> Person:
    pose = standing()
    return Person(pose.joints, pose.confidence, 0)


def test_rates_are_counted_between_the_first_and_the_last_message():
    statistics = Statistics()
    for i in range(11):
        statistics.arrived("/depth", 100.0 + i * 0.1)
    statistics.arrived("/once", 100.0)
    assert statistics.traffic("/depth") == Traffic(11, pytest.approx(10.0))
    assert statistics.traffic("/once") == Traffic(1, 0.0)
    assert statistics.traffic("/never") == Traffic(0, 0.0)


def test_latency_is_from_the_stamp_to_the_arrival():
    statistics = Statistics()
    for i in range(101):
        statistics.joints(stamp=50.0 + i, now=50.0 + i + i / 1000, people=i % 3)
    assert statistics.latency() == Latency(pytest.approx(0.050), pytest.approx(0.095))
    assert statistics.people() == {0: 34, 1: 34, 2: 33}


def test_without_joints_there_is_no_latency():
    latency = Statistics().latency()
    assert math.isnan(latency.p50) and math.isnan(latency.p95)


@pytest.mark.parametrize("depth_first", [True, False])
def test_images_and_people_are_paired_by_stamp(depth_first):
    film = Film()
    for stamp in (10, 20, 30):
        add = [lambda s=stamp: film.add_depth(s, scene(s)), lambda s=stamp: film.add_people(s, [])]
        for step in add if depth_first else reversed(add):
            step()
    film.add_depth(40, scene(40))  # its people never come
    film.add_people(50, [person()])  # its image never came
    assert [shot.stamp for shot in film.shots] == [10, 20, 30]
    np.testing.assert_array_equal(film.shots[1].depth, scene(20))


def test_a_long_film_keeps_evenly_spaced_shots():
    film = Film(max_shots=8)
    for stamp in range(100):
        film.add_depth(stamp, scene())
        film.add_people(stamp, [])
    stamps = [shot.stamp for shot in film.shots]
    assert 4 <= len(stamps) <= 8
    assert stamps[0] == 0 and len(set(np.diff(stamps))) == 1


def test_images_without_people_do_not_pile_up():
    film = Film()
    for stamp in range(1000):
        film.add_depth(stamp, scene())
        film.add_people(stamp + 10_000, [])
    assert not film.shots and len(film._depths) < 100 and len(film._people) < 100
