"""Number of generated examples per property.

By default few, and always the same ones.  ``make fuzz`` runs FUZZ_EXAMPLES new ones per property;
for a failure Hypothesis prints what to add to the test to reproduce it.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))


def cases(few: int, share: float = 1.0) -> Callable[[Any], Any]:
    """Settings of Hypothesis for one property.

    Args:
        few: number of examples if FUZZ_EXAMPLES is not set.
        share: of FUZZ_EXAMPLES, for slow tests.
    """
    return settings(
        max_examples=max(1, round(EXAMPLES * share)) if EXAMPLES else few,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,  # the machine may be busy
        suppress_health_check=list(HealthCheck),
    )
