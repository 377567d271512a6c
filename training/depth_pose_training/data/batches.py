"""Crops from shards as training batches: augmentation and targets."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core import crops
from depth_pose_training.data.augmentation import Crops, augment
from depth_pose_training.data.records import OUTSIDE
from depth_pose_training.data.shards import Shard, list_shards, read, read_ahead

#: A joint nearer than this, metres, is one that the truth does not know.
NEAREST = 0.1


@dataclass(frozen=True)
class Batch:
    """Training input and truth.

    Attributes:
        crops: (B, 1, 216, 176) network input.
        frames: (B, 4) crop frames.
        pixels: (B, 19, 2) joints in crop pixels.
        joints: (B, 19, 3) metres, optical frame; zero depth where unknown.
        weight: (B, 19) 0 where a joint cannot be asked for: outside the crop, or unknown.
        visible: (B, 19) uint8, as in the shards.
    """

    crops: Tensor
    frames: Tensor
    pixels: Tensor
    joints: Tensor
    weight: Tensor
    visible: Tensor


class CropSet:
    """All crops of one or several folders of shards.

    Args:
        folders: of shards; one that is named twice counts twice.
        mapped: read crops from the disk when they are asked for, instead of keeping all of them in
            memory as 16-bit integers; what was read lately the operating system remembers.
    """

    def __init__(self, *folders: Path, mapped: bool = False) -> None:
        self._folders = folders
        self._mapped = mapped
        # By the folder's place, too; in the order of their shards.
        self._read: dict[tuple[int, Path], None] = {}
        self._shards: list[Shard] = []
        self.rescan()

    def rescan(self) -> None:
        """Take in shards that were added since."""
        # A shard that counts twice is there once.
        known = {path: s for (_, path), s in zip(self._read, self._shards, strict=True)}
        for place, folder in enumerate(self._folders):
            for path in list_shards(folder):
                if (place, path) not in self._read:
                    if path not in known:
                        known[path] = read(path, self._mapped)
                    self._shards.append(known[path])
                    self._read[place, path] = None
        self._where = [
            (s, i) for s, shard in enumerate(self._shards) for i in range(len(shard.depth))
        ]

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: files are mapped again there, not sent."""
        state = dict(vars(self))
        if self._mapped:
            del state["_shards"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._mapped:
            self._shards = [read(path, mapped=True) for _, path in self._read]

    def __len__(self) -> int:
        return len(self._where)

    def spread(self, limit: int | None) -> NDArray[np.int64]:
        """Indices of at most ``limit`` crops, evenly spread over all of them.

        Raises:
            ValueError: ``limit`` is less than 1.
        """
        if limit is None or limit >= len(self):
            return np.arange(len(self))
        if limit < 1:
            raise ValueError(f"a limit must be at least 1, got {limit}")
        # Cut off, where frames' spread() rounds: the model cards' figures are of these crops.
        return np.linspace(0, len(self) - 1, limit).astype(np.int64)

    def modes(self) -> NDArray[np.str_]:
        """(N,) how each crop's pose was made."""
        return np.concatenate([s.mode for s in self._shards])

    def crop(
        self, index: int
    ) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """Depth, frame, joints and visibility of one crop, as in its shard."""
        s, i = self._where[index]
        shard = self._shards[s]
        return shard.depth[i], shard.frame[i], shard.joints[i], shard.visible[i]

    def expect(self, indices: NDArray[np.int64]) -> None:
        """These crops will be asked for soon: mapped ones begin to come from the disk."""
        for index in indices:
            s, i = self._where[int(index)]
            read_ahead(self._shards[s].depth, i)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """The crops at ``indices``; augmented when ``rng`` is given."""
        rows = [self.crop(int(i)) for i in indices]
        depth, frame, joints, visible = (np.stack(column) for column in zip(*rows, strict=True))
        if rng is not None:
            other = augment(Crops(depth, frame, joints, visible), rng)
            depth, frame, joints, visible = other.depth, other.frame, other.joints, other.visible
        return _to_batch(depth, frame, joints, visible)

    def epoch(self, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Every crop once, shuffled and augmented, in whole batches."""
        order = rng.permutation(len(self))
        for start in range(0, len(order) - size + 1, size):
            yield self.batch(order[start : start + size], rng)


def _to_batch(
    depth: NDArray[np.int16],
    frame: NDArray[np.float32],
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
) -> Batch:
    rays = joints[..., :2] / np.maximum(joints[..., 2:], 0.05)
    pixels = (rays - frame[:, None, :2]) / frame[:, None, 2:3]
    inside = (
        (pixels[..., 0] >= 0)
        & (pixels[..., 0] <= crops.WIDTH - 1)
        & (pixels[..., 1] >= 0)
        & (pixels[..., 1] <= crops.HEIGHT - 1)
        & (joints[..., 2] > NEAREST)
    )
    # A joint beyond the image's edge is a guess: it counts, but less.
    weight = inside * np.where(visible == OUTSIDE, 0.3, 1.0)
    return Batch(
        torch.from_numpy(crops.from_millimetres(depth))[:, None],
        torch.from_numpy(frame.astype(np.float32)),
        torch.from_numpy(pixels.astype(np.float32)),
        torch.from_numpy(joints.astype(np.float32)),
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy(visible),
    )
