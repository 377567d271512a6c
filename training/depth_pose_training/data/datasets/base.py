"""The interface of all datasets: depth images with labelled people."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data import evenly_spaced
from depth_pose_training.errors import UserError

Array = NDArray[np.float64]


class DatasetError(UserError):
    """A dataset's files are missing or malformed."""


@dataclass(frozen=True)
class LabelledPerson:
    """Joints of one person.

    Attributes:
        joints: (19, 3) float64 metres, optical frame (x right, y down, z forward), inside the body;
            NaN for joints without a 3-D label.
        pixels: (19, 2) float64, joints in the image; NaN where unknown.
        valid: (19,) bool, joints with a trusted label (their pixels are known).
        counted: whether the person counts in an evaluation.  Others are ignored, as COCO's
            ``ignore`` does: they are neither missed people nor false positives.

    Raises:
        DatasetError: wrong shapes, or a valid joint without pixels.
    """

    joints: Array
    pixels: Array
    valid: NDArray[np.bool_]
    counted: bool = True

    def __post_init__(self) -> None:
        for name, shape in (("joints", (NUM_JOINTS, 3)), ("pixels", (NUM_JOINTS, 2)),
                            ("valid", (NUM_JOINTS,))):  # fmt: skip
            if getattr(self, name).shape != shape:
                raise DatasetError(
                    f"{name} must have the shape {shape}, got {getattr(self, name).shape}"
                )
        if (self.valid & ~np.isfinite(self.pixels).all(-1)).any():
            raise DatasetError("a joint without a position is marked valid")


#: Placeholder for the labelled person of a frame without one.
NO_PERSON = LabelledPerson(
    np.full((NUM_JOINTS, 3), np.nan),
    np.full((NUM_JOINTS, 2), np.nan),
    np.zeros(NUM_JOINTS, bool),
    counted=False,
)


@dataclass(frozen=True)
class LabelledFrame:
    """One depth image with its labelled people.

    Attributes:
        depth: (H, W) float32 metres, 0 where missing.
        camera: intrinsics of ``depth``.
        people: counted people first; the first one is the target of single-person metrics.
        key: name of the frame within its dataset.

    Raises:
        DatasetError: the depth image has not the camera's size.
    """

    depth: NDArray[np.float32]
    camera: Camera
    people: tuple[LabelledPerson, ...]
    key: str

    def __post_init__(self) -> None:
        shape = (self.camera.height, self.camera.width)
        if self.depth.shape != shape:
            raise DatasetError(
                f"{self.key}: depth must have the shape {shape}, got {self.depth.shape}"
            )

    @property
    def target(self) -> LabelledPerson:
        """The first counted person, or :data:`NO_PERSON`."""
        return next((p for p in self.people if p.counted), NO_PERSON)

    @property
    def joints(self) -> Array:
        """(P, 19, 3) metres, of all people."""
        return np.array([p.joints for p in self.people]).reshape(-1, NUM_JOINTS, 3)

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(P,) bool, the people that count in an evaluation."""
        return np.array([p.counted for p in self.people], bool)


class LabelledFrames(ABC):
    """Base class of datasets: a sequence of frames that are read on access.

    Attributes:
        name: of the dataset.
        torso_top: joint from which the torso diameter of PDJ is measured to the middle of the
            hips: "Neck", or "UpperSpine" where the dataset has no Neck.
    """

    name: str
    torso_top = "Neck"

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> LabelledFrame: ...

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self[i] for i in range(len(self)))


def check_stride(stride: int) -> None:
    """Raise :class:`DatasetError` unless ``stride`` is at least 1."""
    if stride < 1:
        raise DatasetError(f"stride must be at least 1, got {stride}")


def read(frames: LabelledFrames, limit: int | None = None) -> Iterator[LabelledFrame]:
    """At most ``limit`` evenly spaced frames, one at a time."""
    return (frames[int(i)] for i in evenly_spaced(frames, limit))
