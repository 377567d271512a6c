"""What every dataset gives: depth images with labelled joints."""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.errors import UserError


class DatasetError(UserError):
    """A dataset's files are missing or are not what they should be."""


@dataclass(frozen=True)
class LabelledFrame:
    """One depth image with one labelled person, and perhaps others.

    Attributes:
        depth: (H, W) float32 metres, 0 where missing.
        camera: intrinsics of ``depth``.
        joints: (19, 3) float64 metres, optical frame (x right, y down, z forward), inside the body;
            NaN for a joint that the dataset does not have, or has in the image only; all NaN where
            nobody is there.
        pixels: (19, 2) float64, where the joints are in the image; NaN where unknown.
        valid: (19,) bool, the joints whose truth is to be trusted (never true where their pixels
            are NaN).
        key: names the frame within its dataset.
        others: (P, 19, 3) more people in the image, metres.
        others_asked: (P,) bool, which of them are to be found: too little is in sight of the rest.

    Raises:
        DatasetError: shapes that do not fit each other, or a valid joint without a place.
    """

    depth: NDArray[np.float32]
    camera: Camera
    joints: NDArray[np.float64]
    pixels: NDArray[np.float64]
    valid: NDArray[np.bool_]
    key: str
    others: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, NUM_JOINTS, 3)))
    others_asked: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        expected = {
            "depth": (self.camera.height, self.camera.width),
            "joints": (NUM_JOINTS, 3),
            "pixels": (NUM_JOINTS, 2),
            "valid": (NUM_JOINTS,),
            "others": (len(self.others_asked), NUM_JOINTS, 3),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise DatasetError(
                    f"{self.key}: {name} must have the shape {shape}, "
                    f"got {getattr(self, name).shape}"
                )
        if (self.valid & ~np.isfinite(self.pixels).all(-1)).any():
            raise DatasetError(f"{self.key}: a joint without a position is marked valid")


class LabelledFrames(Protocol):
    """A dataset: a lazily read sequence of frames.

    Attributes:
        name: of the dataset.
        torso_top: the joint from which the torso diameter of PDJ is measured to the middle of the
            hips: "Neck", or "UpperSpine" where the dataset has no Neck.
    """

    name: str
    torso_top: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> LabelledFrame: ...


def spread(frames: Sized, limit: int | None) -> Sequence[int]:
    """Indices of at most ``limit`` frames, evenly spread over the whole dataset."""
    count = len(frames)
    if limit is None or limit >= count:
        return range(count)
    if limit < 1:
        raise ValueError(f"a limit must be at least 1, got {limit}")
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]


def read(frames: LabelledFrames, limit: int | None = None) -> Iterator[LabelledFrame]:
    """At most ``limit`` frames, one at a time, evenly spread over the whole dataset."""
    return (frames[i] for i in spread(frames, limit))
