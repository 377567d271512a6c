"""Puts the shared helpers on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the package training_helpers/

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """Steps flush denormal numbers in the whole process; other tests need them."""
    yield
    torch.set_flush_denormal(False)
