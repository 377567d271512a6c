"""Replaces ``diagnostic_updater`` with ROS from PyPI: see ``underlay/README.md``."""

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

__all__ = ["DiagnosticStatusWrapper", "Updater"]


class DiagnosticStatusWrapper(DiagnosticStatus):
    """A status with methods to fill it."""

    def summary(self, lvl: bytes, msg: str) -> None:
        """Set level and message."""
        self.level, self.message = lvl, msg

    def add(self, key: str, val: str) -> None:
        """Append a key and its value."""
        self.values.append(KeyValue(key=key, value=val))


_Task = Callable[[DiagnosticStatusWrapper], DiagnosticStatusWrapper]


class Updater:
    """Calls its tasks once per period and publishes their statuses on ``/diagnostics``.

    Args:
        node: provides timer, clock and name.
        period: seconds; default of the parameter ``diagnostic_updater.period``.
    """

    def __init__(self, node: Node, period: float = 1.0) -> None:
        self._node = node
        self._tasks: list[tuple[str, _Task]] = []
        self._hardware_id = ""
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        chosen = node.declare_parameter("diagnostic_updater.period", period).value
        node.create_timer(chosen, self.force_update)

    def setHardwareID(self, hwid: str) -> None:
        """Set the hardware id of all statuses."""
        self._hardware_id = hwid

    def add(self, name: str, task: _Task) -> None:
        """Add a task, which fills and returns the status that it is passed."""
        self._tasks.append((name, task))

    def force_update(self) -> None:
        """Call all tasks and publish now."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        for name, task in self._tasks:
            status = DiagnosticStatusWrapper(
                name=f"{self._node.get_name()}: {name}",
                level=DiagnosticStatus.ERROR,
                message="No message was set",
                hardware_id=self._hardware_id,
            )
            message.status.append(task(status))
        self._publisher.publish(message)
