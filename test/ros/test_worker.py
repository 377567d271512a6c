"""The thread that works on the newest item, and the throttle of messages."""

import threading

from depth_pose_ros.ros.throttle import Throttle
from depth_pose_ros.ros.worker import LatestWorker

LONG = 10.0  # seconds; never reached


def test_only_the_newest_item_waits():
    seen, begun, go_on = [], threading.Event(), threading.Event()

    def work(item):
        seen.append(item)
        begun.set()
        go_on.wait(LONG)

    worker = LatestWorker(work, "test")
    worker.put(0)
    assert begun.wait(LONG)
    begun.clear()
    for item in range(1, 6):
        worker.put(item)
    go_on.set()
    assert begun.wait(LONG)
    assert worker.stop(LONG)
    assert seen == [0, 5]
    assert worker.dropped == 4


def test_stop_forgets_what_waits_and_tells_when_the_work_hangs():
    seen, begun, go_on = [], threading.Event(), threading.Event()

    def work(item):
        seen.append(item)
        begun.set()
        go_on.wait(LONG)

    worker = LatestWorker(work, "test")
    worker.put(1)
    assert begun.wait(LONG)
    worker.put(2)
    assert not worker.stop(0.01)
    go_on.set()
    assert worker.stop(LONG)
    assert seen == [1]


def test_an_idle_worker_stops_at_once():
    assert LatestWorker(print, "test").stop(LONG)


def test_the_throttle_admits_each_kind_once_in_a_period():
    now = 0.0
    throttle = Throttle(5.0, clock=lambda: now)
    assert throttle.admits("truncated: 12 bytes")
    assert not throttle.admits("truncated: 13 bytes"), "numbers do not make another kind"
    assert throttle.admits("empty")
    now = 4.9
    assert not throttle.admits("empty")
    now = 5.0
    assert throttle.admits("empty") and throttle.admits("truncated: 12 bytes")


def test_the_throttle_of_endless_kinds_neither_grows_nor_stays_silent():
    """Messages quote what came in, so a broken driver can make every one another kind."""
    now = 0.0
    throttle = Throttle(5.0, clock=lambda: now)
    admitted = sum(
        throttle.admits(f"encoding '{chr(0x4E00 + i)}' is not depth") for i in range(500)
    )
    assert admitted == 100
    assert len(throttle._last) <= 100
    now = 5.0
    assert throttle.admits("something new")
    assert len(throttle._last) == 1
