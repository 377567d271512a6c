"""Joints and confidences from weighted proposals."""

from typing import NamedTuple

import torch
from torch import Tensor

from depth_pose_ros.core.models.config import Readout
from depth_pose_ros.core.models.fcn import FcnOutput, heat_probability
from depth_pose_ros.core.models.tree_inference import Pairwise, max_sum, sum_product
from depth_pose_ros.core.skeleton import EDGES, NUM_JOINTS, TORSO

#: Side of the square whose share of the heat map's mass is a joint's confidence, crop pixels (0.19
#: m at the person): the window of the paper.
HEAT_WINDOW = 17
#: Factor on the confidence of a joint whose own pixel is missing or occluded.
HIDDEN_FACTOR = 0.5
#: Confidence is clipped to [CONFIDENCE_EPS, 1 - CONFIDENCE_EPS].
CONFIDENCE_EPS = 1e-3


class PoseOutput(NamedTuple):
    """Skeletons, one per crop.

    Attributes:
        joints: (B, 19, 3) metres, optical frame.
        pixels: (B, 19, 2) float, (x, y) in the crop.
        confidence: (B, 19) in [0, 1].
        score: (B,) in [0, 1], probability that the crop shows a person; 1/2 where the model has no
            person classifier.
    """

    joints: Tensor
    pixels: Tensor
    confidence: Tensor
    score: Tensor


def proposal_weights(
    unary: Tensor,
    pairwise: Pairwise | None,
    readout: Readout,
    temperature: Tensor | float = 1.0,
) -> Tensor:
    """Weight of each proposal in the result.

    Args:
        unary: (B, 19, n).
        pairwise: (B, 18, n, n) or a function of edges; None for independent parts.
        readout: "marginals", or one-hot at the best configuration (Eqn. 5).
        temperature: of the marginals.

    Returns:
        (B, 19, n), sums to 1 per part.
    """
    if readout == "marginals":
        if pairwise is None:
            return (unary / temperature).softmax(-1)
        return sum_product(unary, pairwise, EDGES, temperature)[1]
    choice = unary.argmax(-1) if pairwise is None else max_sum(unary, pairwise, EDGES)[1]
    return torch.zeros_like(unary).scatter_(2, choice[..., None], 1.0)


def weighted_mean(weights: Tensor, values: Tensor) -> Tensor:
    """Soft-argmax: (B, 19, n) weights and (B, 19, n, C) values of the proposals -> (B, 19, C)."""
    return (weights[..., None] * values).sum(2)


def empty_pose(score: Tensor) -> PoseOutput:
    """Output for crops (B,) without a skeleton: joints and pixels NaN, confidence 0."""
    nowhere = score.new_full((len(score), NUM_JOINTS, 3), torch.nan)
    return PoseOutput(nowhere, nowhere[..., :2].clone(), torch.zeros_like(nowhere[..., 0]), score)


def heat_in_window(output: FcnOutput, stride: int, pixels: Tensor) -> Tensor:
    """Share of each heat map's mass in the cells that touch a window around a pixel
    (:data:`HEAT_WINDOW`).

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
    """Uncalibrated confidence of each joint.

    Args:
        heat: (B, 19) from :func:`heat_in_window`.
        visible: (B, 19) in [0, 1], weighted share of the proposals with a measured depth.

    Returns:
        (B, 19) in [0, 1].
    """
    return heat * (HIDDEN_FACTOR + (1 - HIDDEN_FACTOR) * visible)


def calibrate_confidence(confidence: Tensor, calibration: Tensor) -> Tensor:
    """Confidence as a probability (Platt, 1999): sigmoid(slope * logit(confidence) + offset).

    Args:
        confidence: (B, 19) in [0, 1] from :func:`joint_confidence`.
        calibration: (19, 2) slope and offset of each joint; (1, 0) is the identity.

    Returns:
        (B, 19) in [0, 1].
    """
    slope, offset = calibration.to(confidence.dtype).unbind(-1)
    return (slope * confidence.logit(eps=CONFIDENCE_EPS) + offset).sigmoid()


def torso_score(heat: Tensor) -> Tensor:
    """(B, 19) heat in the windows -> (B,): mean over the torso, low for diffuse heat maps."""
    return heat[:, TORSO].mean(1)
