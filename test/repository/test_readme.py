"""The README's tables of topics and parameters agree with the code."""

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


def test_parameter_table_is_complete():
    expected = [[f"`{name}`", f"`{default}`", text] for name, default, text in parameter_table()]
    listing = "\n".join(f"| {' | '.join(row)} |" for row in expected)
    assert rows("Parameters") == expected, (
        f"the README's table should be (python -m depth_pose_ros.ros.options)\n{listing}"
    )


def test_topic_table_is_complete(ros, monkeypatch):
    from std_msgs.msg import String

    # Any message type will do: the test compares topics.
    class Messages:
        IdsList = Skeleton2D = NormalizedRegionOfInterest2D = String

    monkeypatch.setattr(ros4hri, "load_hri_msgs", lambda: Messages)
    node = ros.add(DepthPoseNode(lambda _: None))
    node.trigger_configure()
    documented = {}
    for topic, kind, _ in rows("What it publishes"):
        documented |= dict.fromkeys(re.findall("`(/[^`]+)`", topic), kind.strip("`"))
    published = {
        p.topic_name: f"{p.msg_type.__module__.split('.')[0]}/{p.msg_type.__name__}"
        for p in node.publishers
        if not p.topic_name.endswith(("/rosout", "/parameter_events", "/transition_event"))
    }
    body_topics = {
        "/humans/bodies/tracked",
        "/humans/bodies/<id>/skeleton2d",
        "/humans/bodies/<id>/roi",
    }
    assert set(documented) - body_topics == set(published) - body_topics
    for topic in set(published) - body_topics:
        assert documented[topic] == published[topic]
    for topic in body_topics:
        package, name = documented[topic].split("/")
        assert package == "hri_msgs" and hasattr(hri_msgs_stub, name)
    assert "/humans/bodies/tracked" in published
