"""TensorBoard logger: scalars and images."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

Image = NDArray[np.uint8]


class TensorBoardLogger:
    """Writes scalars and images for ``tensorboard --logdir``.

    Args:
        folder: created by the first entry; None disables logging.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._purge: int | None = None
        self._writer: SummaryWriter | None = None

    def forget_after(self, step: int) -> None:
        """Replace the entries that an interrupted run wrote after ``step``."""
        self._purge = step + 1

    def scalars(self, step: int, numbers: Mapping[str, Any]) -> None:
        """All finite numbers of a report."""
        if self._folder is None:
            return
        for name, value in numbers.items():
            if isinstance(value, int | float) and name != "step" and np.isfinite(value):
                self._open().add_scalar(name, value, step)
        self._open().flush()

    def picture(self, step: int, draw: Callable[[], Image]) -> None:
        """A BGR image, drawn only if logging is enabled."""
        if self._folder is not None:
            rgb = np.ascontiguousarray(draw()[..., ::-1])
            self._open().add_image("validation", rgb, step, dataformats="HWC")
            self._open().flush()

    def _open(self) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder), purge_step=self._purge)
        return self._writer
