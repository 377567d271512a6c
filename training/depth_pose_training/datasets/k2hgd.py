"""K2HGD's annotations (also called K2HPD): joints and boxes of the paper's own dataset.

Only the annotations of the training frames are to be had, without the depth images: pixels of a
256 x 212 Kinect v2 depth image.  They show which poses the dataset holds, and give the evaluation
real skeletons to be tested with.

The order of the joints was inferred from their mean positions.  The first of two joints of a pair
lies on the image's left, which is the right of a person who faces the camera.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.skeleton import JOINTS
from depth_pose_training.datasets.base import DatasetError
from depth_pose_training.datasets.matlab import read_matrix

WIDTH, HEIGHT = 256, 212

#: Row of the annotation for each of our joints.
K2HGD_ROWS: dict[str, int] = {
    "Head": 0,
    "Neck": 1,
    "UpperSpine": 15,
    "MiddleSpine": 2,
    "DownSpine": 16,
    "RightShoulder": 3,
    "RightElbow": 4,
    "RightWrist": 5,
    "RightHand": 17,
    "LeftShoulder": 6,
    "LeftElbow": 7,
    "LeftWrist": 8,
    "LeftHand": 18,
    "RightHip": 9,
    "RightKnee": 10,
    "RightFoot": 11,
    "LeftHip": 12,
    "LeftKnee": 13,
    "LeftFoot": 14,
}


@dataclass(frozen=True)
class K2hgdAnnotations:
    """Joints in pixels, without images.

    Attributes:
        pixels: (N, 19, 2) float64, (u, v), rows of a skeleton in our order.
        boxes: (N, 4) float64, the person's box as shipped.
    """

    pixels: NDArray[np.float64]
    boxes: NDArray[np.float64]

    torso_top = "Neck"

    @classmethod
    def read(cls, root: str | Path) -> "K2hgdAnnotations":
        """Read ``k2hpd_keypoints_train.mat`` and ``k2hpd_bndbox_train.mat``.

        Raises:
            DatasetError: a file is missing or holds something else.
        """
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
