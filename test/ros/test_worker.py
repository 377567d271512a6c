"""The thread that processes the newest item."""

import threading

from depth_pose_ros.ros.worker import LatestWorker

TIMEOUT = 10.0  # seconds; never reached


def test_only_the_newest_item_waits():
    processed, started, proceed = [], threading.Event(), threading.Event()

    def work(item):
        processed.append(item)
        started.set()
        proceed.wait(TIMEOUT)

    worker = LatestWorker(work, "test")
    worker.put(0)
    assert started.wait(TIMEOUT)
    started.clear()
    for item in range(1, 6):
        worker.put(item)
    proceed.set()
    assert started.wait(TIMEOUT)
    assert worker.stop(TIMEOUT)
    assert processed == [0, 5]
    assert worker.dropped == 4


def test_stop_discards_the_waiting_item_and_returns_false_on_timeout():
    processed, started, proceed = [], threading.Event(), threading.Event()

    def work(item):
        processed.append(item)
        started.set()
        proceed.wait(TIMEOUT)

    worker = LatestWorker(work, "test")
    worker.put(1)
    assert started.wait(TIMEOUT)
    worker.put(2)
    assert not worker.stop(0.01)
    proceed.set()
    assert worker.stop(TIMEOUT)
    assert processed == [1]


def test_idle_worker_stops_at_once():
    assert LatestWorker(print, "test").stop(TIMEOUT)
