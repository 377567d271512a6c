"""A subscriber of /diagnostics."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile

from helpers.node_harness import NodeHarness

OK, WARN, ERROR, STALE = (
    getattr(DiagnosticStatus, name) for name in ("OK", "WARN", "ERROR", "STALE")
)


class Monitor:
    """Subscribes to /diagnostics."""

    def __init__(self, harness: NodeHarness) -> None:
        self._harness = harness
        self._statuses: list[DiagnosticStatus] = []
        harness.peer.create_subscription(
            DiagnosticArray,
            "/diagnostics",
            lambda message: self._statuses.extend(message.status),
            QoSProfile(depth=10),
        )
        harness.ros.wait_for_publishers(harness.peer, "/diagnostics")

    def wait_for(self, level: bytes, text: str = "") -> dict[str, str]:
        """Wait for a new status with this level and text; returns its values."""
        self._statuses.clear()

        def matching():
            return [s for s in self._statuses if s.level == level and text in s.message]

        self._harness.ros.spin_until(matching, f"a status of level {level!r} with '{text}'")
        return {item.key: item.value for item in matching()[0].values}
