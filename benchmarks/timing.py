"""Times, and what is reported of them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Summary = dict[str, float]


def summary(seconds: list[float]) -> Summary:
    """p50, p95 and p99 in milliseconds, and how many there were."""
    p50, p95, p99 = (1000 * float(v) for v in np.percentile(seconds, (50, 95, 99)))
    return {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3), "runs": len(seconds)}


def measure(work: Callable[[], Any], seconds: float, least: int = 5) -> Summary:
    """Call ``work`` for so long, and at least so often, after two calls to warm up."""
    for _ in range(2):
        work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < least:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return summary(times)


def side_by_side(
    works: Mapping[str, Callable[[], Any]],
    seconds: float,
    least: int = 5,
    before: Callable[[], Any] | None = None,
) -> dict[str, Summary]:
    """Measure several things in turns, so that what else the machine does hits all alike.

    Args:
        works: by name.
        seconds: for each.
        least: calls of each.
        before: called before each call, and not measured.
    """
    for work in works.values():
        for _ in range(2):
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    end = time.perf_counter() + seconds * len(works)
    while time.perf_counter() < end or len(next(iter(times.values()))) < least:
        for name, work in works.items():
            if before is not None:
                before()
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {name: summary(t) for name, t in times.items()}


def ratio(a: Summary, b: Summary) -> float:
    """Of two medians."""
    return round(a["p50"] / b["p50"], 4)
