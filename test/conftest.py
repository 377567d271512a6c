"""Fixtures for every test here; the ROS ones are in :mod:`helpers.ros_fixtures`."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the package helpers/

from helpers.ros_fixtures import Ros, private_domain

# Before any test module can import rclpy: nothing that the tests send may reach another machine,
# a robot's own nodes or a test run beside this one.
private_domain()


# A shell starts its background jobs deaf to Ctrl-C, and they pass that on to the processes that the
# tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def ros() -> Iterator[Ros]:
    """A started rclpy with an executor; nodes made with it are destroyed after the test."""
    graph = Ros()
    try:
        yield graph
    finally:
        graph.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data beside the repository; the test is skipped where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the development data in ../shared/data, which is not part of the repo")
    return folder
