"""How many made-up cases a property is tried on.

By default few, and always the same ones.  ``make fuzz`` tries FUZZ_EXAMPLES of each property, new
ones every time; hypothesis then prints what to add to a test for a failure to be kept.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))


def cases(few: int, share: float = 1.0) -> Callable[[Any], Any]:
    """Hypothesis's settings for one property.

    Args:
        few: cases where FUZZ_EXAMPLES is not set.
        share: of FUZZ_EXAMPLES, for what is slow.
    """
    return settings(
        max_examples=max(1, round(EXAMPLES * share)) if EXAMPLES else few,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,  # this machine may be busy
        suppress_health_check=list(HealthCheck),
    )
