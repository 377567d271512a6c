"""Statistics, throttle of log messages."""

import math

import pytest

pytest.importorskip("diagnostic_msgs", reason="needs ROS messages: `make setup` installs them")

from depth_pose_ros.ros.diagnostics import Statistics, Throttle


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_of_the_last_seconds():
    clock = Clock()
    statistics = Statistics(clock)
    assert (statistics.snapshot().input_rate, statistics.snapshot().output_rate) == (0.0, 0.0)
    for tick in range(61):
        clock.now = 100.0 + tick / 20
        statistics.add_image()
        if tick % 2 == 0:
            statistics.add_result(num_people=3, processing_time=0.08, latency=0.1, valid_share=0.6)
    snapshot = statistics.snapshot()
    assert snapshot.input_rate == pytest.approx(20.0)
    assert snapshot.output_rate == pytest.approx(10.0)
    assert (
        snapshot.num_people,
        snapshot.processing_time,
        snapshot.latency,
        snapshot.num_images,
    ) == (3, 0.08, 0.1, 61)
    clock.now += 1.0
    assert statistics.snapshot().input_rate == pytest.approx(20.0), "a gap does not lower the rate"
    clock.now += 2.5
    assert (statistics.snapshot().input_rate, statistics.snapshot().output_rate) == (0.0, 0.0)


def test_times_since_image_result_and_error():
    clock = Clock()
    statistics = Statistics(clock)
    clock.now += 2.0
    snapshot = statistics.snapshot()
    assert (snapshot.time_since_image, snapshot.time_since_result, snapshot.num_images) == (
        2.0,
        2.0,
        0,
    )
    assert (
        snapshot.last_error == ""
        and math.isinf(snapshot.error_age)
        and math.isnan(snapshot.latency)
    )
    assert statistics.add_image() == 2.0
    statistics.add_error("too dark")
    clock.now += 3.0
    snapshot = statistics.snapshot()
    assert (snapshot.time_since_image, snapshot.time_since_result, snapshot.num_images) == (
        3.0,
        5.0,
        1,
    )
    assert (snapshot.last_error, snapshot.error_age) == ("too dark", 3.0)
    statistics.reset()
    assert (statistics.snapshot().time_since_image, statistics.snapshot().num_images) == (0.0, 0)
    assert statistics.snapshot().last_error == "too dark"


def test_statistics_are_bounded():
    clock = Clock()
    statistics = Statistics(clock)
    for _ in range(5000):
        clock.now += 1e-4
        statistics.add_image()
    assert len(statistics._image_times) <= 1000
    assert statistics.snapshot().input_rate == pytest.approx(1e4)


def test_throttle_allows_each_kind_once_per_period():
    now = 0.0
    throttle = Throttle(5.0, clock=lambda: now)
    assert throttle.allows("truncated: 12 bytes")
    assert not throttle.allows("truncated: 13 bytes"), "numbers do not matter"
    assert throttle.allows("empty")
    now = 4.9
    assert not throttle.allows("empty")
    now = 5.0
    assert throttle.allows("empty") and throttle.allows("truncated: 12 bytes")


def test_throttle_with_unlimited_kinds_is_bounded():
    """Messages quote their input, so each message of a broken driver can be of another kind."""
    now = 0.0
    throttle = Throttle(5.0, clock=lambda: now)
    allowed = sum(throttle.allows(f"encoding '{chr(0x4E00 + i)}' is not depth") for i in range(500))
    assert allowed == 100
    assert len(throttle._last) <= 100
    now = 5.0
    assert throttle.allows("something new")
    assert len(throttle._last) == 1
