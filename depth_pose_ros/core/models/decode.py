"""From weighted proposals to joints, and how sure they are."""

from typing import NamedTuple

import torch
from torch import Tensor

from depth_pose_ros.core.models.fcn import FcnOutput, heat_probability
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS

#: Joints whose heat maps say whether there is a person at all: what a body shows from most sides.
TORSO: tuple[int, ...] = tuple(
    INDEX[name]
    for name in (
        "Head",
        "Neck",
        "UpperSpine",
        "MiddleSpine",
        "DownSpine",
        "RightShoulder",
        "LeftShoulder",
        "RightHip",
        "LeftHip",
    )
)
#: Side of the square whose share of the heat says how sure a joint is, crop pixels (0.19 m at the
#: person): the paper's window.
HEAT_WINDOW = 17
#: What is left of the confidence in a joint whose own pixel is missing or occluded.
UNSEEN = 0.5
#: No joint is surer than 1 minus this, and none less sure than this.
LEAST_DOUBT = 1e-3


class PoseOutput(NamedTuple):
    """Skeletons, one per crop.

    Attributes:
        joints: (B, 19, 3) metres, optical frame.
        pixels: (B, 19, 2) float, (x, y) in the crop.
        confidence: (B, 19) in [0, 1].
        score: (B,) in [0, 1], that the crop holds a person at all; 1/2 where the model cannot tell.
    """

    joints: Tensor
    pixels: Tensor
    confidence: Tensor
    score: Tensor


def absent(score: Tensor) -> PoseOutput:
    """What is said of crops (B,) without a skeleton: joints and pixels NaN, confidence 0."""
    nowhere = score.new_full((len(score), NUM_JOINTS, 3), torch.nan)
    return PoseOutput(nowhere, nowhere[..., :2].clone(), torch.zeros_like(nowhere[..., 0]), score)


def heat_in_window(output: FcnOutput, stride: int, pixels: Tensor) -> Tensor:
    """Share of every heat map's mass in the cells that touch :data:`HEAT_WINDOW` round a pixel.

    Args:
        output: of the FCN.
        stride: its crop pixels per cell.
        pixels: (B, 19, 2), (x, y) in the crop.

    Returns:
        (B, 19) in [0, 1].
    """
    heat = heat_probability(output)
    rows, columns = (
        stride * torch.arange(size, device=heat.device, dtype=heat.dtype)
        for size in heat.shape[-2:]
    )
    reach = (HEAT_WINDOW + stride) / 2
    in_row = ((rows - pixels[..., 1, None]).abs() <= reach).to(heat.dtype)
    in_column = ((columns - pixels[..., 0, None]).abs() <= reach).to(heat.dtype)
    mass = in_row[..., None, :] @ heat @ in_column[..., :, None]
    return mass[..., 0, 0].clamp(0, 1)


def joint_confidence(heat: Tensor, visible: Tensor) -> Tensor:
    """How sure a joint is.

    Args:
        heat: (B, 19) from :func:`heat_in_window`.
        visible: (B, 19) in [0, 1], the share of the proposals used whose depth was measured.

    Returns:
        (B, 19) in [0, 1].
    """
    return heat * (UNSEEN + (1 - UNSEEN) * visible)


def calibrated(confidence: Tensor, calibration: Tensor) -> Tensor:
    """Confidence as a probability (Platt, 1999): sigmoid(slope * logit(confidence) + offset).

    Args:
        confidence: (B, 19) in [0, 1] from :func:`joint_confidence`.
        calibration: (19, 2) slope and offset of every joint; (1, 0) leaves it as it is.

    Returns:
        (B, 19) in [0, 1].
    """
    slope, offset = calibration.to(confidence.dtype).unbind(-1)
    return (slope * confidence.logit(eps=LEAST_DOUBT) + offset).sigmoid()


def person_score(heat: Tensor) -> Tensor:
    """(B, 19) heat in the windows -> (B,): mean over the torso, low where maps are spread out."""
    return heat[:, TORSO].mean(1)
