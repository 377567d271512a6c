"""TensorBoard: numbers over steps, and pictures of what a network finds on held-out crops."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from depth_pose_ros.core import crops, drawing
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.batches import Batch

Image = NDArray[np.uint8]
_SCALE = 2
_COLUMNS = 6


class TensorBoardLogger:
    """A folder that ``tensorboard --logdir`` shows.

    Args:
        folder: made when something is written; None writes nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._purge: int | None = None
        self._writer: SummaryWriter | None = None

    def forget_after(self, step: int) -> None:
        """Let what is written from now on stand for what a killed run wrote after ``step``."""
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
        """A BGR picture, drawn only where somebody keeps it."""
        if self._folder is not None:
            rgb = np.ascontiguousarray(draw()[..., ::-1])
            self._open().add_image("validation", rgb, step, dataformats="HWC")
            self._open().flush()

    def _open(self) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(str(self._folder), purge_step=self._purge)
        return self._writer


def skeletons(batch: Batch, pixels: Tensor) -> Image:
    """Crops in columns: above with the true skeleton, below with the one found.

    Args:
        batch: B crops and their truth.
        pixels: (B, 19, 2) found.
    """
    certain = np.ones(NUM_JOINTS)
    above: list[Image] = []
    below: list[Image] = []
    for i, crop in enumerate(batch.crops.cpu().numpy()[:, 0]):
        z_ref = float(batch.frames[i, 3])
        depth = np.where(crop < crops.FAR, z_ref + crops.DEPTH_RANGE * crop, 0).astype(np.float32)
        image = drawing.colorize(depth, z_ref - crops.DEPTH_RANGE, z_ref + crops.DEPTH_RANGE)
        large: Image = np.asarray(
            cv2.resize(image, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_NEAREST), np.uint8
        )
        known = batch.weight[i].cpu().numpy() > 0
        truth = np.where(known[:, None], batch.pixels[i].cpu().numpy(), np.nan)
        for row, points in ((above, truth), (below, pixels[i].detach().float().cpu().numpy())):
            copy = large.copy()
            drawing.draw_skeleton(copy, (points + 0.5) * _SCALE - 0.5, certain)
            row.append(copy)
    rows = [
        drawing.montage(part[i : i + _COLUMNS], _COLUMNS)
        for i in range(0, len(above), _COLUMNS)
        for part in (above, below)
    ]
    return drawing.montage(rows, 1)
