"""Crops without a background in other crops' surroundings, the same ones every time."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_training.data.augmentation import put_behind
from depth_pose_training.data.batches import CropSet


class BackgroundCrops(CropSet):
    """Crops whose missing depth is filled with that of others, farther away.

    Args:
        folder: shards of crops, of a dataset that removed backgrounds.
        others: shards of crops with rooms (and people in them).
        seed: of what goes behind what.
    """

    def __init__(self, folder: Path, others: Path, seed: int = 0) -> None:
        super().__init__(folder, mapped=True)
        self._others, self._seed = CropSet(others, mapped=True), seed

    def crop(
        self, index: int
    ) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """As :meth:`CropSet.crop`."""
        depth, frame, joints, visible = super().crop(index)
        rng = np.random.default_rng((self._seed, index))
        depth, other = depth.copy(), self._others.crop(int(rng.integers(len(self._others))))
        put_behind(depth, other[0], rng)
        return depth, frame, joints, visible
