"""Crops of shards as training batches with augmentation and targets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core import crops
from depth_pose_training.data import evenly_spaced
from depth_pose_training.data.augmentation import CropArrays, augment, fill_background
from depth_pose_training.data.shards import (
    MIN_JOINT_DEPTH,
    OUTSIDE,
    Shard,
    list_shards,
    read,
    read_ahead,
)


@dataclass(frozen=True)
class Batch:
    """Network input and ground truth.

    Attributes:
        crops: (B, 1, 216, 176) network input.
        frames: (B, 4) crop frames.
        pixels: (B, 19, 2) joints in crop pixels.
        joints: (B, 19, 3) metres, optical frame; zero depth where unknown.
        weight: (B, 19) weight in the losses; 0 for joints outside the crop and unknown ones.
        visible: (B, 19) uint8, as in the shards.
    """

    crops: Tensor
    frames: Tensor
    pixels: Tensor
    joints: Tensor
    weight: Tensor
    visible: Tensor


class CropDataset:
    """All crops of one or several folders of shards.

    Args:
        folders: of shards; the crops of a folder that is given twice are contained twice.
        mapped: memory-map the crops instead of loading them.
    """

    def __init__(self, *folders: Path, mapped: bool = False) -> None:
        self._folders = folders
        self._mapped = mapped
        # Keys are (index of the folder, path), in the order of the shards.
        self._paths: dict[tuple[int, Path], None] = {}
        self._shards: list[Shard] = []
        self.rescan()

    def rescan(self) -> None:
        """Add shards that were written since the last scan."""
        # A folder that is given twice shares its shards.
        known = {path: s for (_, path), s in zip(self._paths, self._shards, strict=True)}
        for number, folder in enumerate(self._folders):
            for path in list_shards(folder):
                if (number, path) not in self._paths:
                    if path not in known:
                        known[path] = read(path, self._mapped)
                    self._shards.append(known[path])
                    self._paths[number, path] = None
        self._rows = [
            (s, i) for s, shard in enumerate(self._shards) for i in range(len(shard.depth))
        ]

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: they map the files again."""
        state = dict(vars(self))
        if self._mapped:
            del state["_shards"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._mapped:
            self._shards = [read(path, mapped=True) for _, path in self._paths]

    def __len__(self) -> int:
        return len(self._rows)

    def evenly_spaced(self, limit: int | None) -> NDArray[np.int64]:
        """Indices of at most ``limit`` evenly spaced crops; see :func:`data.evenly_spaced`."""
        # The figures of the model cards are measured on positions that are rounded down.
        return evenly_spaced(self, limit, floor=True)

    def modes(self) -> NDArray[np.str_]:
        """(N,) source of each crop's pose."""
        return np.concatenate([s.mode for s in self._shards])

    def crop(
        self, index: int
    ) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """Depth, frame, joints and visibility of one crop, as in its shard."""
        s, i = self._rows[index]
        shard = self._shards[s]
        return shard.depth[i], shard.frame[i], shard.joints[i], shard.visible[i]

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Start reading memory-mapped crops from the disk."""
        for index in indices:
            s, i = self._rows[int(index)]
            read_ahead(self._shards[s].depth, i)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """The crops at ``indices``, augmented if ``rng`` is given."""
        rows = [self.crop(int(i)) for i in indices]
        arrays = CropArrays(*(np.stack(column) for column in zip(*rows, strict=True)))
        return _to_batch(arrays if rng is None else augment(arrays, rng))


class BackgroundCrops(CropDataset):
    """Crops without background, in front of the depth of random other crops.

    The same seed gives the same backgrounds.

    Args:
        folder: shards of crops with the background removed.
        others: shards of crops with background.
        seed: of the random choices.
    """

    def __init__(self, folder: Path, others: Path, seed: int = 0) -> None:
        super().__init__(folder, mapped=True)
        self._others, self._seed = CropDataset(others, mapped=True), seed

    def crop(
        self, index: int
    ) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """As :meth:`CropDataset.crop`."""
        depth, frame, joints, visible = super().crop(index)
        rng = np.random.default_rng((self._seed, index))
        depth, other = depth.copy(), self._others.crop(int(rng.integers(len(self._others))))
        fill_background(depth, other[0], rng)
        return depth, frame, joints, visible


def _to_batch(given: CropArrays) -> Batch:
    joints, frame = given.joints, given.frame
    rays = joints[..., :2] / np.maximum(joints[..., 2:], 0.05)
    pixels = (rays - frame[:, None, :2]) / frame[:, None, 2:3]
    inside = (
        (pixels[..., 0] >= 0)
        & (pixels[..., 0] <= crops.WIDTH - 1)
        & (pixels[..., 1] >= 0)
        & (pixels[..., 1] <= crops.HEIGHT - 1)
        & (joints[..., 2] > MIN_JOINT_DEPTH)
    )
    # Joints outside the image cannot be seen: they have a lower weight.
    weight = inside * np.where(given.visible == OUTSIDE, 0.3, 1.0)
    return Batch(
        torch.from_numpy(crops.from_millimetres(given.depth))[:, None],
        torch.from_numpy(frame.astype(np.float32)),
        torch.from_numpy(pixels.astype(np.float32)),
        torch.from_numpy(joints.astype(np.float32)),
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy(given.visible),
    )
