"""A buffer of transforms, and the transform between any two frames at a given time."""

from bisect import bisect, insort
from dataclasses import dataclass, field
from threading import Condition
from typing import Any, NamedTuple

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time

from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.rigid import Rigid


class _Sample(NamedTuple):
    stamp: int  # nanoseconds
    transform: Rigid  # child to parent


@dataclass
class _Edge:
    """Transforms of a frame to its parent, ordered by stamp; a static frame has one."""

    parent: str
    static: bool
    samples: list[_Sample] = field(default_factory=list)

    def at(self, stamp: int) -> Rigid:
        """Interpolated transform; the stamp must lie within the samples."""
        if self.static:
            return self.samples[0].transform
        after = bisect(self.samples, stamp, key=lambda s: s.stamp)
        earlier = self.samples[after - 1]
        if earlier.stamp == stamp:
            return earlier.transform
        later = self.samples[after]
        part = (stamp - earlier.stamp) / (later.stamp - earlier.stamp)
        return earlier.transform.interpolate(later.transform, part)


class Buffer:
    """Stores the last seconds of every moving frame.  Safe to use from several threads.

    Args:
        cache_time: duration that is stored, 10 s by default.
        node: accepted for compatibility; the ``tf2_frames`` service is not offered.
    """

    def __init__(self, cache_time: Duration | None = None, node: Any = None) -> None:
        self._cache_time = 10 * 10**9 if cache_time is None else cache_time.nanoseconds
        self._edges: dict[str, _Edge] = {}
        self._condition = Condition()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a moving frame's transform."""
        self._add(transform, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a transform that is valid at all times."""
        self._add(transform, static=True)

    def clear(self) -> None:
        """Discard all moving frames; static ones are kept, as in the real buffer."""
        with self._condition:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static}

    def can_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> bool:
        """Whether :meth:`lookup_transform` would succeed."""
        try:
            self.lookup_transform(target_frame, source_frame, time, timeout)
        except TransformException:
            return False
        return True

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> TransformStamped:
        """The transform that takes points from the source frame to the target frame.

        Args:
            time: 0 is the latest time at which all transforms of the chain are known.
            timeout: time to wait for it; another thread must spin the node meanwhile.

        Raises:
            LookupException, ConnectivityException, ExtrapolationException,
            InvalidArgumentException: it is not available.
        """
        for name in (target_frame, source_frame):
            if not name or name.startswith("/"):
                raise InvalidArgumentException(
                    f"Invalid frame id '{name}': it must not be empty or start with a '/'"
                )
        seconds = 0.0 if timeout is None else timeout.nanoseconds * 1e-9
        with self._condition:
            self._condition.wait_for(
                lambda: self._known(target_frame, source_frame, time.nanoseconds), seconds
            )
            stamp, transform = self._lookup(target_frame, source_frame, time.nanoseconds)
        message = transform.to_message()
        message.header.frame_id, message.child_frame_id = target_frame, source_frame
        message.header.stamp = Time(nanoseconds=stamp).to_msg()
        return message

    def _add(self, message: TransformStamped, static: bool) -> None:
        # Names as in ROS 1: tf2 takes them from publishers, but not from those who ask.
        parent, child = (n.lstrip("/") for n in (message.header.frame_id, message.child_frame_id))
        if not parent or not child or parent == child:
            raise InvalidArgumentException(
                f'a transform needs two different frames, got "{parent}" and "{child}"'
            )
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        sample = _Sample(stamp, Rigid.from_message(message))
        with self._condition:
            edge = self._edges.get(child)
            if edge is None or static or edge.static or edge.parent != parent:
                edge = self._edges[child] = _Edge(parent, static)
            edge.samples = [s for s in edge.samples if s.stamp != stamp]
            insort(edge.samples, sample, key=lambda s: s.stamp)
            oldest = edge.samples[-1].stamp - self._cache_time
            edge.samples = [s for s in edge.samples if s.stamp >= oldest]
            self._condition.notify_all()

    def _known(self, target: str, source: str, stamp: int) -> bool:
        try:
            self._lookup(target, source, stamp)
        except TransformException:
            return False
        return True

    def _lookup(self, target: str, source: str, stamp: int) -> tuple[int, Rigid]:
        from_target, from_source = self._ancestors(target), self._ancestors(source)
        common = next((frame for frame in from_source if frame in from_target), None)
        if common is None:
            raise ConnectivityException(
                f"[{target}] and [{source}] are not connected: they are in separate trees"
            )
        up_target = from_target[: from_target.index(common)]
        up_source = from_source[: from_source.index(common)]
        moving = [e for e in map(self._edges.get, up_target + up_source) if e and not e.static]
        if stamp == 0 and moving:
            stamp = min(edge.samples[-1].stamp for edge in moving)
        for edge in moving:
            first, last = edge.samples[0].stamp, edge.samples[-1].stamp
            if not first <= stamp <= last:
                where, bound = ("future", last) if stamp > last else ("past", first)
                raise ExtrapolationException(
                    f"Lookup would require extrapolation into the {where}: requested time "
                    f"{stamp * 1e-9:.6f} but the data ends at {bound * 1e-9:.6f}, when looking up "
                    f"the transform from frame [{source}] to frame [{target}]"
                )
        to_common = self._climb(up_target, stamp).inverse()
        return stamp, to_common @ self._climb(up_source, stamp)

    def _ancestors(self, frame: str) -> list[str]:
        """A frame, its parent, the parent of that and so on."""
        if frame not in self._edges and all(e.parent != frame for e in self._edges.values()):
            raise LookupException(f'"{frame}" is not a frame that has been published')
        path = [frame]
        while path[-1] in self._edges:
            parent = self._edges[path[-1]].parent
            if parent in path:
                raise ConnectivityException(f"the frames {path} form a loop")
            path.append(parent)
        return path

    def _climb(self, frames: list[str], stamp: int) -> Rigid:
        """From the first of some frames to the parent of the last."""
        total = Rigid.identity()
        for frame in frames:
            total = self._edges[frame].at(stamp) @ total
        return total
