"""What a tracker can be told."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrackerSettings:
    """What users may want to change; the rest are constants beside the code that they steer.

    Attributes:
        memory: seconds that a person who is no longer found is remembered; found again within that
            time, and near enough to where they would be by now, the id is the same.
        coast: seconds that a person who is no longer found is still given, by prediction.
        smoothing: how strongly joints are smoothed: 0 not at all, 1 as measured on real estimates,
            more for a noisier model.
        sure_score: who has at least this score is given at once, others when seen a second time.

    Raises:
        ValueError: a value out of range, or not a number.
    """

    memory: float = 1.5
    coast: float = 0.2
    smoothing: float = 1.0
    sure_score: float = 0.8

    def __post_init__(self) -> None:
        for name, high in (("memory", 60.0), ("coast", 60.0), ("smoothing", 10.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= high):
                raise ValueError(f"{name} must be between 0 and {high:g}, got {value}")
        if not 0 <= self.sure_score <= 1:
            raise ValueError(f"sure_score must be in [0, 1], got {self.sure_score}")
