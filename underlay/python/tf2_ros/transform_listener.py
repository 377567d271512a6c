"""Fills a buffer from ``/tf`` and ``/tf_static``."""

from threading import Thread

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from tf2_ros.buffer import Buffer


class TransformListener:
    """Subscribes to transforms and adds them to a buffer.

    Args:
        buffer: is filled.
        node: owner of the subscriptions.
        spin_thread: spin ``node`` on its own thread; otherwise the caller spins it.
        qos, static_qos: default: reliable, depth 100.
    """

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
        tf_topic: str = "/tf",
        tf_static_topic: str = "/tf_static",
    ) -> None:
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        # Reentrant, so that another callback of the node can wait for a transform.
        group = ReentrantCallbackGroup()
        self.buffer, self.node = buffer, node
        self.tf_sub = node.create_subscription(
            TFMessage,
            tf_topic,
            self._moving,
            QoSProfile(depth=100) if qos is None else qos,
            callback_group=group,
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage,
            tf_static_topic,
            self._static,
            latched if static_qos is None else static_qos,
            callback_group=group,
        )
        self._executor: SingleThreadedExecutor | None = None
        if spin_thread:
            self._executor = SingleThreadedExecutor()
            self._executor.add_node(node)
            self._thread = Thread(target=self._executor.spin, daemon=True)
            self._thread.start()

    def unregister(self) -> None:
        """Unsubscribe."""
        if self._executor is not None:
            self._executor.shutdown()
            self._thread.join()
            self._executor = None
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def _moving(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self.buffer.set_transform(transform, "default_authority")

    def _static(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self.buffer.set_transform_static(transform, "default_authority")
