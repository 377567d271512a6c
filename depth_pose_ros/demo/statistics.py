"""Rates, latency and people: the demo's numbers, from times of arrival."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Traffic(NamedTuple):
    """What came in on one topic.

    Attributes:
        messages: how many.
        rate: messages a second between the first and the last; 0 for fewer than two.
    """

    messages: int
    rate: float


class Latency(NamedTuple):
    """Seconds from a depth image's publication to its joints' arrival, median and 95th percentile.

    NaN where nothing arrived.
    """

    p50: float
    p95: float


@dataclass
class Statistics:
    """Takes note of messages as they arrive."""

    _arrivals: dict[str, list[float]] = field(default_factory=dict)
    _latencies: list[float] = field(default_factory=list)
    _people: Counter[int] = field(default_factory=Counter)

    def arrived(self, topic: str, now: float) -> None:
        """A message of any topic came at ``now`` seconds."""
        self._arrivals.setdefault(topic, []).append(now)

    def joints(self, stamp: float, now: float, people: int) -> None:
        """Joints of the image published at ``stamp`` seconds came at ``now`` seconds."""
        self._latencies.append(now - stamp)
        self._people[people] += 1

    def traffic(self, topic: str) -> Traffic:
        """How much came on a topic."""
        times = self._arrivals.get(topic, [])
        span = times[-1] - times[0] if times else 0.0
        return Traffic(len(times), (len(times) - 1) / span if span > 0 else 0.0)

    def latency(self) -> Latency:
        """From publication to joints."""
        if not self._latencies:
            return Latency(float("nan"), float("nan"))
        p50, p95 = np.percentile(self._latencies, (50, 95))
        return Latency(float(p50), float(p95))

    def people(self) -> dict[int, int]:
        """{people in a frame: frames}, by number of people."""
        return dict(sorted(self._people.items()))
