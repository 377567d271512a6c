"""K2HGD's joints without images, as MATLAB files of a later method contain them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_training.data.datasets import DatasetError
from depth_pose_training.data.datasets.k2hgd import K2HGD_ROWS
from depth_pose_training.data.datasets.utd_mhad import read_matrix


@dataclass(frozen=True)
class K2hgdAnnotations:
    """Joints in pixels, without images.

    Attributes:
        pixels: (N, 19, 2) float64, (u, v) of the joints in this project's order.
        boxes: (N, 4) float64, bounding box of the person.
    """

    pixels: NDArray[np.float64]
    boxes: NDArray[np.float64]

    torso_top = "Neck"

    @classmethod
    def read(cls, root: str | Path) -> "K2hgdAnnotations":
        """Read ``k2hpd_keypoints_train.mat`` and ``k2hpd_bndbox_train.mat``."""
        raw = _matrix(Path(root) / "k2hpd_keypoints_train.mat", "keypointsTrain", (19, 2))
        boxes = _matrix(Path(root) / "k2hpd_bndbox_train.mat", "bndbox", (4,))
        if len(raw) != len(boxes):
            raise DatasetError(f"{root}: {len(raw)} skeletons but {len(boxes)} boxes")
        return cls(raw[:, [K2HGD_ROWS[name] for name in JOINTS]], boxes)

    def __len__(self) -> int:
        return len(self.pixels)


def _matrix(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    matrix = read_matrix(path, name).astype(np.float64)
    if matrix.shape[1:] != shape:
        raise DatasetError(f"{path}: {name} has the shape {matrix.shape}, not (N, *{shape})")
    return matrix
