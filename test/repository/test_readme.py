"""The README's tables of topics and parameters are those of the code."""

import re
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
pytest.importorskip("tf2_msgs", reason="needs tf2_msgs: `make setup` installs it")

from depth_pose_ros.ros import ros4hri
from depth_pose_ros.ros.node import DepthPoseNode
from depth_pose_ros.ros.options import parameter_table
from helpers import hri_msgs_stub

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading."""
    after = README.split(f"\n## {heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert lines is not None
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines[0].splitlines()]
    return cells[2:]


def test_every_parameter_is_in_the_table_with_its_default():
    expected = [[f"`{name}`", f"`{default}`", what] for name, default, what in parameter_table()]
    listing = "\n".join(f"| {' | '.join(row)} |" for row in expected)
    assert rows("Parameters") == expected, f"the README's table should be\n{listing}"


def test_every_topic_is_in_the_table_with_its_type(ros, monkeypatch):
    from std_msgs.msg import String

    # Any real type will do: which topics there are is the question.
    class Messages:
        IdsList = Skeleton2D = NormalizedRegionOfInterest2D = String

    monkeypatch.setattr(ros4hri, "load_hri_msgs", lambda: Messages)
    node = ros.add(DepthPoseNode(lambda _: None))
    node.trigger_configure()
    told = {}
    for topic, kind, _ in rows("What it publishes"):
        told |= dict.fromkeys(re.findall("`(/[^`]+)`", topic), kind.strip("`"))
    sent = {
        p.topic_name: f"{p.msg_type.__module__.split('.')[0]}/{p.msg_type.__name__}"
        for p in node.publishers
        if not p.topic_name.endswith(("/rosout", "/parameter_events", "/transition_event"))
    }
    ours = {"/humans/bodies/tracked", "/humans/bodies/<id>/skeleton2d", "/humans/bodies/<id>/roi"}
    assert set(told) - ours == set(sent) - ours
    for topic in set(sent) - ours:
        assert told[topic] == sent[topic]
    for topic in ours:
        package, name = told[topic].split("/")
        assert package == "hri_msgs" and hasattr(hri_msgs_stub, name)
    assert "/humans/bodies/tracked" in sent
