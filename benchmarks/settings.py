"""What every benchmark is told."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        quick: seconds instead of minutes: to see that it works, not to quote.
        threads: processor threads.
        backend: of the estimator.
        model: name or path of the weights; None is the default.
        device: of the estimator.
    """

    quick: bool
    threads: int
    backend: str
    model: str | None
    device: str

    @property
    def seconds(self) -> float:
        """For each thing that is measured."""
        return 0.5 if self.quick else 3.0


class NotMeasured(Exception):
    """What a benchmark needs is not there; the message says what."""
