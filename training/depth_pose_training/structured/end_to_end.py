"""FCN, MatchNet and w as one module with a structured loss, trained through the tree inference.

Max-sum is differentiable with respect to the chosen terms, sum-product everywhere.  The parts that
Algorithm 1 trains in turn can therefore be trained jointly.  The losses are means over a batch:

- "hinge": max_g (w.F + h) - max_{g ~ g_l} w.F of Eqn. 9, with loss-augmented inference and a new
  latent variable in every step;
- "expectation" and "likelihood": see :mod:`depth_pose_training.structured.crf`.

The positions of the proposals have no gradient.  The FCN gets its gradient from the values read at
the proposals: log-heat, depth and displacement, if the configuration has them.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.tree_inference import max_sum
from depth_pose_ros.core.skeleton import EDGES
from depth_pose_training.data.batches import Batch
from depth_pose_training.learning.losses import in_full
from depth_pose_training.learning.strided_matchnet import embed_strided, strided_proposals
from depth_pose_training.structured.crf import expectation_loss, negative_log_likelihood
from depth_pose_training.structured.tree_data import TreeData, tree_data
from depth_pose_training.structured.tree_problem import TreeWeights, configuration_loss, tree_terms

LossName = Literal["hinge", "expectation", "likelihood"]
Part = Literal["fcn", "matchnet", "w"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class JointOutput:
    """Output for one batch: FCN maps, MatchNet logits (B, 19, n, T), tree data and w."""

    maps: FcnOutput
    logits: Tensor
    data: TreeData
    weights: TreeWeights


class JointModel(nn.Module):
    """A pose network that is trained as a whole, on a strided subset of its proposals.

    Batch normalization keeps its statistics: batches are small, and the result does not depend on
    the number of processes.

    Args:
        network: trained by the steps of Algorithm 1.
        scale: (D,) of the features; w is learned for scaled features.
        parts: the parts that are trained.
    """

    scale: Tensor

    def __init__(self, network: PoseNetwork, scale: Tensor, parts: tuple[Part, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("scale", scale.clone())
        # w is divided by the temperature, which is then 1.
        start = network_weights(network).flat() / network.temperature
        self.w = nn.Parameter((start * scale).detach(), requires_grad="w" in parts)
        network.requires_grad_(False)
        network.fcn.requires_grad_("fcn" in parts)
        network.matchnet.requires_grad_("matchnet" in parts)
        network.eval()

    def weights(self) -> TreeWeights:
        """w without feature scale, at temperature 1."""
        return TreeWeights.of(self.w / self.scale)

    def stay_within_bounds(self) -> None:
        """Limit the quadratic weights of Gamma to at most 0 (:class:`TreeProblem`)."""
        with torch.no_grad():
            TreeWeights.of(self.w).gamma[:, 1::2].clamp_(max=0)

    def forward(self, batch: Batch, phase: Tensor) -> JointOutput:
        """Output for B crops; ``phase`` (B, towers, 2) is the offset of the strided proposals."""
        network = self.network
        crops = batch.crops.contiguous(memory_format=torch.channels_last)
        maps = in_full(network.fcn(crops))
        with torch.no_grad():
            pixels = strided_proposals(network.window_pixels(maps, batch.crops), phase)
        proposals = network.locate(pixels, maps, batch.crops, batch.frames)
        matchnet = network.matchnet
        patches = embed_strided(matchnet, batch.crops, pixels)
        logits = matchnet.match(patches, matchnet.template_half()).float()
        # Meters and log-heat need single precision.
        with torch.autocast(crops.device.type, enabled=False):
            data = tree_data(network, batch, maps, proposals, logits)
        return JointOutput(maps, logits, data, self.weights())


def network_weights(network: PoseNetwork) -> TreeWeights:
    """w of a network."""
    unary: Tensor = network.match_weight
    if network.heat_weight is not None:
        unary = torch.cat((unary, network.heat_weight[:, None]), dim=1)
    return TreeWeights(unary.detach(), network.gamma.detach())


def structured_hinge(
    data: TreeData, unary: Tensor, pairwise: Tensor, tau: float, clip: bool = False
) -> Tensor:
    """(L,) structured hinge loss, the summand of Eqn. 9; not negative.

    Args:
        data: L crops.
        unary: (L, 19, n).
        pairwise: (L, 18, n, n).
        tau, clip: of h (:func:`configuration_loss`).
    """
    loss = configuration_loss(data, tau, clip)
    augmented, _ = max_sum(unary + loss, pairwise, EDGES)
    completed, _ = max_sum(unary.masked_fill(~data.allowed, -torch.inf), pairwise, EDGES)
    return augmented - completed


def structured_loss(output: JointOutput, name: LossName, tau: float) -> Tensor:
    """Mean of a structured loss over the batch."""
    unary, pairwise = tree_terms(output.data, output.weights)
    if name == "hinge":
        # Per part, like the other losses and Eqn. 6 and 7.
        parts = output.data.supervised.sum(1).clamp(min=1)
        return (structured_hinge(output.data, unary, pairwise, tau) / parts).mean()
    loss_of = negative_log_likelihood if name == "likelihood" else expectation_loss
    return loss_of(output.data, unary, pairwise).mean()
