"""Depth images with their skeletons, kept for the pictures: a bounded, evenly spaced selection."""

from collections import OrderedDict
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.drawing import Person

#: Shots kept at most: the length of the animation, and 40 MB of Kinect v2's images.
MAX_SHOTS = 90
#: How many images may wait for their skeletons: two seconds of 30 Hz.
_MAX_WAITING = 60

_T = TypeVar("_T")


class Shot(NamedTuple):
    """One depth image and the people found in it.

    Attributes:
        stamp: the image's own, nanoseconds.
        depth: (H, W) uint16 millimetres.
        people: skeletons in the camera's optical frame.
    """

    stamp: int
    depth: NDArray[np.uint16]
    people: list[Person]


class Film:
    """Pairs images and skeletons by stamp, in whatever order they come."""

    def __init__(self, max_shots: int = MAX_SHOTS) -> None:
        self._max = max_shots
        self._depths: OrderedDict[int, NDArray[np.uint16]] = OrderedDict()
        self._people: OrderedDict[int, list[Person]] = OrderedDict()
        self._seen, self._stride = 0, 1
        self.shots: list[Shot] = []

    def add_depth(self, stamp: int, depth: NDArray[np.uint16]) -> None:
        """An image arrived."""
        _hold(self._depths, stamp, depth)
        self._pair(stamp)

    def add_people(self, stamp: int, people: list[Person]) -> None:
        """The skeletons of an image arrived."""
        _hold(self._people, stamp, people)
        self._pair(stamp)

    def _pair(self, stamp: int) -> None:
        if stamp not in self._depths or stamp not in self._people:
            return
        shot = Shot(stamp, self._depths.pop(stamp), self._people.pop(stamp))
        if self._seen % self._stride == 0:
            self.shots.append(shot)
        self._seen += 1
        if len(self.shots) > self._max:  # keep every second one, from now on too
            self.shots = self.shots[::2]
            self._stride *= 2


def _hold(waiting: OrderedDict[int, _T], stamp: int, value: _T) -> None:
    waiting[stamp] = value
    while len(waiting) > _MAX_WAITING:
        waiting.popitem(last=False)
