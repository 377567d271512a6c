"""Results that wait for the transform of their image's time."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from std_msgs.msg import Header

from depth_pose_ros.core.tracking.person_tracker import Person
from depth_pose_ros.ros.tf import FrameError, TargetFrame

_MAX_HELD = 100


class Result(NamedTuple):
    """The people of one frame.

    Attributes:
        header: stamp of the image and frame of the people.
        people: in that frame.
        arrival: of the image, in seconds of the monotonic clock.
        valid_share: share of the image's pixels that have a depth.
    """

    header: Header
    people: list[Person]
    arrival: float
    valid_share: float


class HeldResults:
    """Publishes results in another frame, in their order, once their transform is available.

    A result whose transform is available is published at once, in the caller's thread.  Another one
    is held, and with it all later ones, on a thread of its own: TF that is always late delays the
    results, but does not slow down the inference.

    Args:
        target: transforms.
        publish: called with each transformed result.
        fail: called with the error of each result whose transform did not come in time.
    """

    def __init__(
        self,
        target: TargetFrame,
        publish: Callable[[Result], None],
        fail: Callable[[FrameError], None],
    ) -> None:
        self._target, self._publish, self._fail = target, publish, fail
        self._condition = threading.Condition()
        self._held: deque[tuple[Result, float]] = deque(maxlen=_MAX_HELD)
        self._is_waiting = self._is_stopping = False
        self._generation = 0
        self._thread = threading.Thread(target=self._run, name="held results", daemon=True)
        self._thread.start()

    def put(self, result: Result, timeout: float) -> None:
        """Publish a result now, or hold it for at most ``timeout`` seconds."""
        with self._condition:
            if not self._held and not self._is_waiting:
                try:
                    self._publish(self._transformed(result, 0.0))
                    return
                except FrameError as error:
                    if timeout <= 0:
                        self._fail(error)
                        return
            self._held.append((result, time.monotonic() + timeout))
            self._condition.notify()

    def clear(self) -> None:
        """Discard the results that wait; none of them is published after this call."""
        with self._condition:
            self._generation += 1
            self._held.clear()

    def stop(self, timeout: float) -> bool:
        """Discard them and end the thread; True if it has ended within ``timeout`` s."""
        self.clear()
        with self._condition:
            self._is_stopping = True
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._is_waiting = False
                self._condition.wait_for(lambda: self._is_stopping or self._held)
                if self._is_stopping:
                    return
                (result, deadline), generation = self._held.popleft(), self._generation
                self._is_waiting = True
            transformed, failure = None, None
            try:
                transformed = self._transformed(result, max(deadline - time.monotonic(), 0.0))
            except FrameError as error:
                failure = error
            with self._condition:
                if generation != self._generation:
                    continue
                if transformed is not None:
                    self._publish(transformed)
                elif failure is not None:
                    self._fail(failure)

    def _transformed(self, result: Result, timeout: float) -> Result:
        header, people = self._target.transform(result.header, result.people, timeout)
        return result._replace(header=header, people=people)
