"""Static frames, on ``/tf_static``."""

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from tf2_ros.transform_broadcaster import as_list


class StaticTransformBroadcaster:
    """Publishes transforms on ``/tf_static``, latched: late subscribers receive all of them."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.pub_tf = node.create_publisher(
            TFMessage, "/tf_static", latched if qos is None else qos
        )
        self._by_child: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Add one transform or several; one with the same child frame is replaced."""
        self._by_child.update({t.child_frame_id: t for t in as_list(transform)})
        # Late subscribers receive the last message only, so it contains all transforms.
        self.pub_tf.publish(TFMessage(transforms=list(self._by_child.values())))
