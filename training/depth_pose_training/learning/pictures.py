"""Pictures of crops with labelled and estimated skeletons, for TensorBoard."""

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.core import crops, drawing
from depth_pose_ros.core.skeleton import NUM_JOINTS
from depth_pose_training.data.batches import Batch

Image = NDArray[np.uint8]
_SCALE = 2
_COLUMNS = 6


def skeletons(batch: Batch, pixels: Tensor) -> Image:
    """Crops in columns: labelled skeletons above, estimated ones below.

    Args:
        batch: B labelled crops.
        pixels: (B, 19, 2) estimated joints.
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
