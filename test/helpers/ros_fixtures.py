"""ROS nodes in tests: a private DDS domain, and waiting for events."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

_DOMAINS = range(1, 102)  # above 101 DDS ports run into Linux's ephemeral ports
_LOCK_PORT = 21400
_locks: list[socket.socket] = []


def private_domain() -> int:
    """Set ROS_DOMAIN_ID to one that no other test run on this machine uses, on loopback only.

    Child processes inherit it.  A domain is reserved by binding a loopback port, which the system
    releases when this process ends.
    """
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":  # does not support the variable above
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    first = os.getpid() % len(_DOMAINS)
    for domain in (*_DOMAINS[first:], *_DOMAINS[:first]):
        lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            lock.bind(("127.0.0.1", _LOCK_PORT + domain))
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        return domain
    raise RuntimeError("every ROS domain from 1 to 101 is taken by another test run")


class Ros:
    """rclpy with one executor, for tests that let real nodes talk over DDS."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        rclpy.init(args=[])
        self.executor = SingleThreadedExecutor()
        self._nodes: list[Any] = []

    def node(self, name: str = "test_peer", **options: Any) -> Any:
        """A new plain node, spun by this executor."""
        from rclpy.node import Node

        return self.add(Node(name, **options))

    def add(self, node: Any) -> Any:
        """Spin a node and destroy it at the end of the test."""
        self._nodes.append(node)
        self.executor.add_node(node)
        return node

    def spin_until(self, done: Callable[[], Any], what: str, timeout: float = 60.0) -> None:
        """Spin until ``done()`` is true; the test fails, naming ``what``, after ``timeout`` s."""
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                pytest.fail(f"timeout of {timeout:g} s while waiting for {what}")
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        """Spin for a fixed time; only to test that something does not happen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.05)

    def wait_for_subscribers(self, publisher: Any, count: int = 1, timeout: float = 60.0) -> None:
        """Spin until ``count`` subscriptions are matched with a publisher."""
        self.spin_until(
            lambda: publisher.get_subscription_count() >= count,
            f"{count} subscription(s) of {publisher.topic_name}",
            timeout,
        )

    def wait_for_match(
        self, publisher: Any, subscriptions: Sequence[Any], timeout: float = 60.0
    ) -> None:
        """Spin until a publisher and subscriptions are matched, in both directions.

        A best-effort subscription drops messages of a publisher that it has not discovered yet.
        """
        self.wait_for_subscribers(publisher, len(subscriptions), timeout)
        self.spin_until(
            lambda: all(_publishers(subscription) for subscription in subscriptions),
            f"the subscriber's match of {publisher.topic_name}",
            timeout,
        )

    def wait_for_publishers(
        self, node: Any, topic: str, count: int = 1, timeout: float = 60.0
    ) -> None:
        """Spin until a node sees ``count`` publishers of a topic."""
        self.spin_until(
            lambda: node.count_publishers(topic) >= count,
            f"{count} publisher(s) of {topic}",
            timeout,
        )

    def close(self) -> None:
        """Destroy the nodes and shut rclpy down."""
        import rclpy

        for node in self._nodes:
            self.executor.remove_node(node)
            node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown()


def _publishers(subscription: Any) -> int:
    """Number of matched publishers; 1 on Humble, which does not report it."""
    count = getattr(subscription, "get_publisher_count", None)
    return 1 if count is None else int(count())
