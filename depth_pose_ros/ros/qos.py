"""Quality of service: which policies a user may override, and overrides without effect."""

import difflib
from collections.abc import Iterable

from rclpy.node import Node
from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions

_PREFIX = "qos_overrides."
_POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


def overridable_qos() -> QoSOverridingOptions:
    """Options for a publisher or subscription whose policies are ``qos_overrides`` parameters."""
    return QoSOverridingOptions(_POLICIES)


def unused_overrides(node: Node, given: Iterable[str]) -> dict[str, str]:
    """Overrides that no publisher or subscription has taken, and the valid name nearest to each.

    Args:
        node: has all its publishers and subscriptions.
        given: names of the parameters given at start.
    """
    valid = [_PREFIX + name for name in node.get_parameters_by_prefix(_PREFIX.rstrip("."))]
    return {
        name: difflib.get_close_matches(name, valid, n=1, cutoff=0.0)[0]
        for name in given
        if name.startswith(_PREFIX) and name not in valid
    }
