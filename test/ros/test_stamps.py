"""Order, outliers and jumps of the images' stamps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("builtin_interfaces", reason="needs ROS messages: `make setup` installs them")

from builtin_interfaces.msg import Time

from depth_pose_ros.ros.stamps import StampFilter, age

START = 1_700_000_000.0
PERIOD = 0.1


def time(seconds: float) -> Time:
    sec = math.floor(seconds)
    return Time(sec=sec, nanosec=round((seconds - sec) * 1e9) % 10**9)


def decide(stamps, period=PERIOD):
    """The decisions for images that arrive one period after the other."""
    stamp_filter = StampFilter()
    return [stamp_filter.decide(time(stamp), 50.0 + i * period) for i, stamp in enumerate(stamps)]


def regular(count=30, start=START, period=PERIOD):
    return [start + i * period for i in range(count)]


@pytest.mark.parametrize("at", [2, 5, 12, 29])
@pytest.mark.parametrize("offset", [-START, -START / 2, -1e4, -2.0, 0.6, 2.0, 1e6])
def test_one_outlier_is_one_lost_image(at, offset):
    stamps = regular()
    stamps[at] = max(stamps[at] + offset, 0.0)
    decisions = decide(stamps)
    assert [i for i, d in enumerate(decisions) if not d.use] == [at]
    assert all(d.jump == 0 for d in decisions)
    assert decisions[at].error.startswith("its stamp is ")


def test_outliers_that_recur_lose_themselves_only():
    stamps = regular(60)
    for i in range(5, 60, 6):
        stamps[i] += (2.0, -3.0, 40.0)[i % 3]
    decisions = decide(stamps)
    assert [i for i, d in enumerate(decisions) if not d.use] == list(range(5, 60, 6))


def test_an_outlier_at_the_start_is_recovered_from():
    for first in (START + 1e5, START - 1e5):
        decisions = decide([first, *regular()])
        assert [d.use for d in decisions] == [True, False, False, *[True] * 28]


@pytest.mark.parametrize("offset", [-1000.0, -3.0, 3.0, 1000.0])
def test_several_in_a_row_are_a_jump(offset):
    decisions = decide([*regular(10), *regular(10, START + 1.0 + offset)])
    assert [d.use for d in decisions] == [*[True] * 10, False, False, *[True] * 8]
    assert decisions[12].jump == pytest.approx(offset + 3 * PERIOD, abs=0.01)
    assert [d.jump for d in decisions[13:]] == [0.0] * 7


def test_two_clocks_on_one_topic_do_not_jump_to_and_fro():
    other = regular(20, START - 500.0)
    decisions = decide([s for pair in zip(regular(20), other, strict=True) for s in pair])
    assert [d.use for d in decisions] == [True, False] * 20


def test_late_and_repeated_images_are_left_out_without_an_error():
    stamps = regular(20)
    stamps[4], stamps[6] = stamps[6], stamps[4]  # 6 overtakes 4 and 5
    stamps[12] = stamps[11]
    decisions = decide(stamps)
    assert [i for i, d in enumerate(decisions) if not d.use] == [5, 6, 12]
    assert all(not d.error and not d.jump for d in decisions)


def test_a_clock_that_stands_still_is_reported():
    decisions = decide([*regular(3), *[START + 0.2] * 6])
    assert [d.use for d in decisions] == [*[True] * 3, *[False] * 6]
    assert "same stamp" in decisions[-1].error


def test_a_bag_shorter_than_a_second_may_be_repeated():
    decisions = decide(regular(8) * 6)
    assert sum(d.use for d in decisions) >= 16
    assert any(d.jump < 0 for d in decisions)


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0])
def test_playback_may_be_slow_or_fast_and_have_gaps(rate):
    stamps = [s for i, s in enumerate(regular(60)) if i % 10 not in (4, 5)]
    assert all(d.use for d in decide(stamps, PERIOD / rate))


def test_an_image_that_was_delayed_makes_the_next_no_outlier():
    stamp_filter = StampFilter()
    for i in range(10):
        assert stamp_filter.decide(time(START + i * PERIOD), i * PERIOD).use
    assert stamp_filter.decide(time(START + 1.0), 1.9).use
    assert stamp_filter.decide(time(START + 1.9), 1.92).use


def test_times_that_ros_does_not_have():
    stamp_filter = StampFilter()
    assert "before 1970" in stamp_filter.decide(Time(sec=-1), 0.0).error
    assert "stamp is 0" in stamp_filter.decide(Time(), 0.1).error
    assert stamp_filter.decide(Time(nanosec=1), 0.2).use
    stamp_filter.reset()
    assert stamp_filter.decide(time(START), 0.3) == (True, 0.0, "")


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1), st.floats(0.0, 10.0)
        ),
        max_size=30,
    )
)
def test_any_stamps(images):
    stamp_filter, arrival = StampFilter(), 0.0
    for sec, nanosec, wait in images:
        arrival += wait
        decision = stamp_filter.decide(Time(sec=sec, nanosec=nanosec), arrival)
        assert not decision.use or (sec >= 0 and sec + nanosec > 0 and not decision.error)


def test_age_of_a_stamp_of_another_clock_is_nan():
    assert age(Time(sec=10, nanosec=10**8), 10_300_000_000) == pytest.approx(0.2)
    for other_clock in (Time(), Time(sec=11), Time(sec=2**31 - 1)):
        assert math.isnan(age(other_clock, 100_000_000_000 if other_clock.sec < 12 else 0))
