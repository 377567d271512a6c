"""Measurement of times, by turns."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Summary = dict[str, float]


def summary(seconds: list[float]) -> Summary:
    """p50, p95 and p99 in milliseconds, and the number of runs."""
    p50, p95, p99 = (1000 * float(v) for v in np.percentile(seconds, (50, 95, 99)))
    return {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3), "runs": len(seconds)}


def measure(work: Callable[[], Any], seconds: float, min_runs: int = 5) -> Summary:
    """Times of one function; see :func:`interleave`."""
    return interleave({"": work}, seconds, min_runs)[""]


def interleave(
    works: Mapping[str, Callable[[], Any]],
    seconds: float,
    min_runs: int = 5,
    before: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, Summary]:
    """Times of several functions, called by turns: A B C A B C ..., after two calls of each.

    So that other load of the machine affects all of them alike.

    Args:
        works: functions by name.  One that returns a float has measured its time in seconds itself.
        seconds: time budget of each function; a slow one uses it up in fewer turns.
        min_runs: minimum number of calls of each function.
        before: functions called before each call of the work of that name, and not measured.
    """
    before = before or {}
    for work in works.values():
        for _ in range(2):
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    while unfinished := [
        name for name, t in times.items() if len(t) < min_runs or sum(t) < seconds
    ]:
        for name in unfinished:
            if name in before:
                before[name]()
            start = time.perf_counter()
            result = works[name]()
            elapsed = time.perf_counter() - start
            times[name].append(result if isinstance(result, float) else elapsed)
    return {name: summary(t) for name, t in times.items()}


def ratio(a: Summary, b: Summary) -> float:
    """Ratio of two medians."""
    return round(a["p50"] / b["p50"], 4)
