"""Statistics and frame sampling with known stamps."""

import math

import numpy as np
import pytest

from depth_pose_ros.core.drawing import Person
from depth_pose_ros.demo.recording import FrameSampler, Latency, Statistics, Traffic
from helpers.demo_scene import scene
from helpers.poses import standing


def person() -> Person:
    pose = standing()
    return Person(pose.joints, pose.confidence, 0)


def test_rate_is_between_first_and_last_message():
    statistics = Statistics()
    for i in range(11):
        statistics.add_message("/depth", 100.0 + i * 0.1)
    statistics.add_message("/once", 100.0)
    assert statistics.traffic("/depth") == Traffic(11, pytest.approx(10.0))
    assert statistics.traffic("/once") == Traffic(1, 0.0)
    assert statistics.traffic("/never") == Traffic(0, 0.0)


def test_latency_is_from_stamp_to_reception():
    statistics = Statistics()
    for i in range(101):
        statistics.add_joints(stamp=50.0 + i, now=50.0 + i + i / 1000, people=i % 3)
    assert statistics.latency() == Latency(pytest.approx(0.050), pytest.approx(0.095))
    assert statistics.people_counts() == {0: 34, 1: 34, 2: 33}


def test_latency_without_joints_is_nan():
    latency = Statistics().latency()
    assert math.isnan(latency.p50) and math.isnan(latency.p95)


@pytest.mark.parametrize("depth_first", [True, False])
def test_images_and_skeletons_are_paired_by_stamp(depth_first):
    sampler = FrameSampler()
    for stamp in (10, 20, 30):
        add = [
            lambda s=stamp: sampler.add_depth(s, scene(s)),
            lambda s=stamp: sampler.add_people(s, []),
        ]
        for step in add if depth_first else reversed(add):
            step()
    sampler.add_depth(40, scene(40))  # without skeletons
    sampler.add_people(50, [person()])  # without an image
    assert [frame.stamp for frame in sampler.frames] == [10, 20, 30]
    np.testing.assert_array_equal(sampler.frames[1].depth, scene(20))


def test_long_recording_keeps_evenly_spaced_frames():
    sampler = FrameSampler(max_frames=8)
    for stamp in range(100):
        sampler.add_depth(stamp, scene())
        sampler.add_people(stamp, [])
    stamps = [frame.stamp for frame in sampler.frames]
    assert 4 <= len(stamps) <= 8
    assert stamps[0] == 0 and len(set(np.diff(stamps))) == 1


def test_unpaired_images_are_bounded():
    sampler = FrameSampler()
    for stamp in range(1000):
        sampler.add_depth(stamp, scene())
        sampler.add_people(stamp + 10_000, [])
    assert not sampler.frames and len(sampler._depths) < 100 and len(sampler._people) < 100
