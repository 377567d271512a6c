"""Fixture of the tests of the node."""

import pytest


@pytest.fixture
def harness(ros, capfd):
    """The active node with a fake estimator, its camera and its subscribers."""
    from helpers.node_harness import NodeHarness

    harness = NodeHarness(ros, capfd)
    yield harness
    harness.estimator.unblocked.set()  # or the node waits for the inference to end
