"""Counting and timing, and the status made of it."""

import math

import pytest

from depth_pose_ros.ros.health import Health


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_are_those_of_the_last_seconds():
    clock = Clock()
    health = Health(clock)
    assert (health.report().rate_in, health.report().rate_out) == (0.0, 0.0)
    for tick in range(61):
        clock.now = 100.0 + tick / 20
        health.image()
        if tick % 2 == 0:
            health.result(people=3, working=0.08, latency=0.1)
    report = health.report()
    assert report.rate_in == pytest.approx(20.0)
    assert report.rate_out == pytest.approx(10.0)
    assert (report.people, report.working, report.latency, report.images) == (3, 0.08, 0.1, 61)
    clock.now += 1.0
    assert health.report().rate_in == pytest.approx(20.0), "a gap is silence, not a lower rate"
    clock.now += 2.5
    assert (health.report().rate_in, health.report().rate_out) == (0.0, 0.0)


def test_silence_idleness_and_faults_have_an_age():
    clock = Clock()
    health = Health(clock)
    clock.now += 2.0
    report = health.report()
    assert (report.silence, report.idle, report.images) == (2.0, 2.0, 0)
    assert report.error == "" and math.isinf(report.error_age) and math.isnan(report.latency)
    assert health.image() == 2.0
    health.fault("too dark")
    clock.now += 3.0
    report = health.report()
    assert (report.silence, report.idle, report.images) == (3.0, 5.0, 1)
    assert (report.error, report.error_age) == ("too dark", 3.0)
    health.begin()
    assert (health.report().silence, health.report().images) == (0.0, 0)
    assert health.report().error == "too dark"


def test_nothing_grows_for_ever():
    clock = Clock()
    health = Health(clock)
    for _ in range(5000):
        clock.now += 1e-4
        health.image()
    assert len(health._in) <= 1000
    assert health.report().rate_in == pytest.approx(1e4)
