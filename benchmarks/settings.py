"""Settings that all benchmarks share."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        quick: short runs, to check that a benchmark works; not for published numbers.
        threads: number of CPU threads.
        backend: the estimator's backend.
        model: name or path of the weights; None: the default.
        device: the estimator's device.
    """

    quick: bool
    threads: int
    backend: str
    model: str | None
    device: str

    @property
    def seconds(self) -> float:
        """Time budget per measured function."""
        return 0.5 if self.quick else 3.0


class NotMeasured(Exception):
    """A benchmark's requirement is missing; the message names it."""
