"""Puts the shared helpers on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the package training_helpers/
