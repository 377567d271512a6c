"""Stands in for ``diagnostic_updater`` where ROS comes from PyPI: see ``underlay/README.md``."""

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

__all__ = ["DiagnosticStatusWrapper", "Updater"]


class DiagnosticStatusWrapper(DiagnosticStatus):
    """A status with conveniences."""

    def summary(self, lvl: bytes, msg: str) -> None:
        """Set level and message."""
        self.level, self.message = lvl, msg

    def add(self, key: str, val: str) -> None:
        """Append a key and its value."""
        self.values.append(KeyValue(key=key, value=val))


_Task = Callable[[DiagnosticStatusWrapper], DiagnosticStatusWrapper]


class Updater:
    """Asks its tasks once in a period and publishes what they say on ``/diagnostics``.

    Args:
        node: whose timer, clock and name are used.
        period: seconds, unless the parameter ``diagnostic_updater.period`` says otherwise.
    """

    def __init__(self, node: Node, period: float = 1.0) -> None:
        self._node = node
        self._tasks: list[tuple[str, _Task]] = []
        self._hardware_id = ""
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        chosen = node.declare_parameter("diagnostic_updater.period", period).value
        node.create_timer(chosen, self.force_update)

    def setHardwareID(self, hwid: str) -> None:
        """What all statuses give as their hardware."""
        self._hardware_id = hwid

    def add(self, name: str, task: _Task) -> None:
        """Add a task: it fills in and returns the status it is given."""
        self._tasks.append((name, task))

    def force_update(self) -> None:
        """Ask all tasks and publish, whatever the time."""
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
