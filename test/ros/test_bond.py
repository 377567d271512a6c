"""The bond with a lifecycle manager; bondpy itself is not on PyPI."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

import sys
from types import ModuleType
from typing import ClassVar

from helpers.node_harness import NodeHarness


class Bond:
    """As bondpy's: records what is done with it."""

    made: ClassVar[list["Bond"]] = []

    def __init__(self, node, topic, bond_id, on_broken=None, on_formed=None):
        self.topic, self.id, self.on_broken = topic, bond_id, on_broken
        self.calls: list[str] = []
        self.heartbeat_period = 1.0
        self.sub = self.pub = None
        self.made.append(self)

    def start(self):
        self.calls.append("start")

    def shutdown(self):
        self.calls.append("shutdown")
        self.on_broken()


class OldBond(Bond):
    def __init__(self, topic, id, node, on_broken=None, on_formed=None):
        super().__init__(node, topic, id, on_broken, on_formed)


@pytest.fixture(params=[Bond, OldBond])
def bondpy(monkeypatch, request):
    package, module = ModuleType("bondpy"), ModuleType("bondpy.bondpy")
    module.Bond = request.param
    monkeypatch.setitem(sys.modules, "bondpy", package)
    monkeypatch.setitem(sys.modules, "bondpy.bondpy", module)
    Bond.made.clear()


def test_a_managed_node_has_a_bond_while_it_is_active(ros, capfd, bondpy):
    harness = NodeHarness(ros, capfd, start=False, autostart=False)
    harness.node.trigger_configure()
    assert Bond.made == []
    harness.node.trigger_activate()
    (bond,) = Bond.made
    assert (bond.topic, bond.id, bond.calls) == ("bond", "depth_pose_node", ["start"])
    assert bond.heartbeat_period < 1.0
    harness.node.trigger_deactivate()
    assert bond.calls == ["start", "shutdown"]
    assert harness.errors() == []
    harness.node.trigger_activate()
    Bond.made[-1].on_broken()
    (error,) = harness.errors()
    assert "No bond with a lifecycle manager" in error


def test_a_node_that_starts_itself_has_no_bond(ros, capfd, bondpy):
    harness = NodeHarness(ros, capfd, start=False)
    harness.node.autostart()
    assert Bond.made == [] and "bond" not in harness.log()


def test_without_bondpy_the_log_says_what_to_set(ros, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "bondpy", None)
    harness = NodeHarness(ros, capfd, start=False, autostart=False)
    harness.node.trigger_configure()
    harness.node.trigger_activate()
    assert "bond_timeout to 0.0" in harness.log()
    assert harness.errors() == []
