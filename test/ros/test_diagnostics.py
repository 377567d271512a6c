"""Statistics, throttle of log messages, time jumps."""

import math

import pytest

pytest.importorskip("diagnostic_msgs", reason="needs ROS messages: `make setup` installs them")

from builtin_interfaces.msg import Time

from depth_pose_ros.ros.diagnostics import Statistics, Throttle, TimeJumpDetector, age


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
            statistics.add_result(num_people=3, processing_time=0.08, latency=0.1)
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


def test_images_out_of_order_are_not_a_time_jump():
    detector = TimeJumpDetector()
    for sec, nanosec in ((1000, 0), (1000, 5 * 10**8), (999, 6 * 10**8), (1000, 10**8)):
        assert detector.update(Time(sec=sec, nanosec=nanosec)) == 0
    assert detector.update(Time(sec=999, nanosec=4 * 10**8)) == pytest.approx(1.1)
    assert detector.update(Time(sec=999, nanosec=5 * 10**8)) == 0
    detector.reset()
    assert detector.update(Time(sec=1)) == 0


def test_age_of_a_stamp_of_another_clock_is_nan():
    assert age(Time(sec=10, nanosec=10**8), 10_300_000_000) == pytest.approx(0.2)
    for other_clock in (Time(), Time(sec=11), Time(sec=2**31 - 1)):
        assert math.isnan(age(other_clock, 100_000_000_000 if other_clock.sec < 12 else 0))
