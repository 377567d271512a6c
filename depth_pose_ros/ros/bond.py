"""The bond with Nav2's lifecycle manager, which takes a node without one for dead."""

import importlib
import inspect
from typing import Any

from rclpy.node import Node

from depth_pose_ros.ros import log_messages

_TOPIC = "bond"
_HEARTBEAT_PERIOD = 0.1  # seconds, as Nav2's own nodes


class LifecycleBond:
    """A bond by the protocol of the package ``bond``, if bondpy is installed.

    Args:
        node: whose name is the id of the bond, as the manager expects.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bond: Any = None

    def start(self) -> None:
        """Start the heartbeat (on activate)."""
        self.stop()
        try:
            bondpy = importlib.import_module("bondpy.bondpy")
        except ImportError:
            self._node.get_logger().info(log_messages.NO_BOND)
            return
        # The order of the arguments and the name of the id differ between releases of bondpy.
        parameters = inspect.signature(bondpy.Bond).parameters
        id_name = "bond_id" if "bond_id" in parameters else "id"
        self._bond = bondpy.Bond(
            node=self._node,
            topic=_TOPIC,
            on_broken=self._on_broken,
            **{id_name: self._node.get_name()},
        )
        self._bond.heartbeat_period = _HEARTBEAT_PERIOD
        self._bond.start()

    def stop(self) -> None:
        """Break the bond (on deactivate)."""
        bond, self._bond = self._bond, None
        if bond is not None and self._node.context.ok():
            bond.shutdown()
            # bondpy destroys both, but leaves them in the node, whose executor then fails.
            self._node.destroy_subscription(bond.sub)
            self._node.destroy_publisher(bond.pub)

    def _on_broken(self) -> None:
        if self._bond is not None and self._node.context.ok():
            self._node.get_logger().warning(log_messages.BOND_BROKEN)
