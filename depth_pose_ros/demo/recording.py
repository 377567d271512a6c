"""What the demo keeps of a run: message statistics, and depth images with their skeletons."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.drawing import Person

#: Maximum number of frames kept, the length of the animation: 40 MB for a Kinect v2.
MAX_FRAMES = 90
#: Maximum number of images without skeletons: two seconds at 30 Hz.
_MAX_UNPAIRED = 60

_T = TypeVar("_T")


class Traffic(NamedTuple):
    """The messages received on one topic.

    Attributes:
        messages: their number.
        rate: Hz, between the first and the last message; 0 for fewer than two.
    """

    messages: int
    rate: float


class Latency(NamedTuple):
    """Seconds from the depth image's publication to the reception of its joints: p50 and p95.

    NaN if no joints were received.
    """

    p50: float
    p95: float


@dataclass
class Statistics:
    """Rates, latencies and numbers of people, from the times of reception."""

    _arrivals: dict[str, list[float]] = field(default_factory=dict)
    _latencies: list[float] = field(default_factory=list)
    _people: Counter[int] = field(default_factory=Counter)

    def add_message(self, topic: str, now: float) -> None:
        """Count a message received at ``now`` seconds."""
        self._arrivals.setdefault(topic, []).append(now)

    def add_joints(self, stamp: float, now: float, people: int) -> None:
        """Count joints received at ``now`` of an image published at ``stamp``, both in seconds."""
        self._latencies.append(now - stamp)
        self._people[people] += 1

    def traffic(self, topic: str) -> Traffic:
        """The number and rate of a topic's messages."""
        times = self._arrivals.get(topic, [])
        span = times[-1] - times[0] if times else 0.0
        return Traffic(len(times), (len(times) - 1) / span if span > 0 else 0.0)

    def latency(self) -> Latency:
        """Latency from the depth image to the joints."""
        if not self._latencies:
            return Latency(float("nan"), float("nan"))
        p50, p95 = np.percentile(self._latencies, (50, 95))
        return Latency(float(p50), float(p95))

    def people_counts(self) -> dict[int, int]:
        """{people per frame: number of frames}, sorted."""
        return dict(sorted(self._people.items()))


class RecordedFrame(NamedTuple):
    """A depth image and its skeletons.

    Attributes:
        stamp: of the image, nanoseconds.
        depth: (H, W) uint16 millimetres.
        people: skeletons in the camera's optical frame.
    """

    stamp: int
    depth: NDArray[np.uint16]
    people: list[Person]


class FrameSampler:
    """Pairs depth images with skeletons by stamp; keeps an evenly spaced, bounded selection."""

    def __init__(self, max_frames: int = MAX_FRAMES) -> None:
        self._max = max_frames
        self._depths: OrderedDict[int, NDArray[np.uint16]] = OrderedDict()
        self._people: OrderedDict[int, list[Person]] = OrderedDict()
        self._seen, self._stride = 0, 1
        self.frames: list[RecordedFrame] = []

    def add_depth(self, stamp: int, depth: NDArray[np.uint16]) -> None:
        """Add a depth image."""
        _put(self._depths, stamp, depth)
        self._pair(stamp)

    def add_people(self, stamp: int, people: list[Person]) -> None:
        """Add the skeletons of an image."""
        _put(self._people, stamp, people)
        self._pair(stamp)

    def _pair(self, stamp: int) -> None:
        if stamp not in self._depths or stamp not in self._people:
            return
        frame = RecordedFrame(stamp, self._depths.pop(stamp), self._people.pop(stamp))
        if self._seen % self._stride == 0:
            self.frames.append(frame)
        self._seen += 1
        if len(self.frames) > self._max:  # keep every second frame, also of those to come
            self.frames = self.frames[::2]
            self._stride *= 2


def _put(waiting: OrderedDict[int, _T], stamp: int, value: _T) -> None:
    waiting[stamp] = value
    while len(waiting) > _MAX_UNPAIRED:
        waiting.popitem(last=False)
