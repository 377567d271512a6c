"""FCN, MatchNet and w as one module under one structured loss: learning through the inference.

The dynamic programme is a layer like any other: the maximum's gradient is that of the terms it
chose, and sum-product's is exact.  So what is learned in Algorithm 1 by turns can be learned at
once.  The losses, all of one batch's means:

- "hinge": Eqn. 9's max_g (w.F + h) - max_{g ~ g_l} w.F, with loss-augmented inference and the
  completion of the latent variable in every step;
- "expectation" and "likelihood": those of :mod:`depth_pose_training.structured.crf`, through sum-product.

Proposals are where the heat maps' maxima are, which no gradient can move; it reaches the FCN
through what is read there: log-heat, depth and displacement, as far as the configuration has them.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.proposals import Proposals, locate
from depth_pose_ros.core.models.tree_inference import max_sum
from depth_pose_ros.core.skeleton import EDGES
from depth_pose_training.commands.train_matchnet import windows
from depth_pose_training.data.batches import Batch
from depth_pose_training.learning.losses import in_full
from depth_pose_training.learning.strided_matchnet import embed_lattice, lattice_proposals
from depth_pose_training.structured.crf import expectation_loss, negative_log_likelihood
from depth_pose_training.structured.tree_data import TreeData, tree_data
from depth_pose_training.structured.tree_problem import TreeWeights, configuration_loss, tree_terms

LossName = Literal["hinge", "expectation", "likelihood"]
#: What may learn.
PARTS = ("fcn", "matchnet", "w")


@dataclass(frozen=True)
class JointOutput:
    """Of one batch: the FCN's maps, MatchNet's logits (B, 19, n, T), and w's factors and w."""

    maps: FcnOutput
    logits: Tensor
    data: TreeData
    weights: TreeWeights


class JointModel(nn.Module):
    """A pose network that learns as a whole, on a lattice of its proposals.

    Batch normalization keeps its statistics: batches are small, and so it has no say in how many
    processes share one.

    Args:
        network: learned by Algorithm 1's steps.
        scale: (D,) of w's features; w learns in these units, in which all weights are alike.
        parts: of :data:`PARTS`, those that learn.
    """

    scale: Tensor

    def __init__(self, network: PoseNetwork, scale: Tensor, parts: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("scale", scale.clone())
        # The temperature goes into w.
        start = network_weights(network).flat() / network.temperature
        self.w = nn.Parameter((start * scale).detach(), requires_grad="w" in parts)
        network.requires_grad_(False)
        network.fcn.requires_grad_("fcn" in parts)
        network.matchnet.requires_grad_("matchnet" in parts)
        network.eval()

    def weights(self) -> TreeWeights:
        """w as the network has it; at temperature 1."""
        return TreeWeights.of(self.w / self.scale)

    def stay_within_bounds(self) -> None:
        """Gamma's quadratic weights at most 0 (:class:`TreeProblem`)."""
        with torch.no_grad():
            TreeWeights.of(self.w).gamma[:, 1::2].clamp_(max=0)

    def forward(self, batch: Batch, phase: Tensor) -> JointOutput:
        """B crops, with (B, towers, 2) phases of the lattices."""
        network = self.network
        crops = batch.crops.contiguous(memory_format=torch.channels_last)
        maps = in_full(network.fcn(crops))
        with torch.no_grad():
            _, pixels = windows(network, maps, batch.crops)
        pixels = lattice_proposals(pixels, phase)
        points, measured = locate(
            pixels,
            maps.depth,
            network.fcn.stride,
            batch.crops,
            batch.frames,
            network.joint_depth_offset,
            network.joint_depth_gate,
        )
        matchnet = network.matchnet
        patches = embed_lattice(matchnet, batch.crops, pixels)
        logits = matchnet.match(patches, matchnet.template_half()).float()
        proposals = Proposals(pixels, points, measured)
        # Metres and log-heat need all their digits, whatever the networks ran in.
        with torch.autocast(crops.device.type, enabled=False):
            data = tree_data(network, batch, maps, proposals, logits)
        return JointOutput(maps, logits, data, self.weights())


def network_weights(network: PoseNetwork) -> TreeWeights:
    """w out of a network's parameters."""
    unary: Tensor = network.match_weight
    if network.heat_weight is not None:
        unary = torch.cat((unary, network.heat_weight[:, None]), dim=1)
    return TreeWeights(unary.detach(), network.gamma.detach())


def structured_hinge(
    data: TreeData, unary: Tensor, pairwise: Tensor, tau: float, clip: bool = False
) -> Tensor:
    """(L,) how far the truth is from winning by h, the summand of Eqn. 9; never below 0.

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
    """One of the structured losses, the batch's mean."""
    unary, pairwise = tree_terms(output.data, output.weights)
    if name == "hinge":
        # By part, as the others are: a whole configuration's would drown Eqn. 6 and 7.
        parts = output.data.asked.sum(1).clamp(min=1)
        return (structured_hinge(output.data, unary, pairwise, tau) / parts).mean()
    loss_of = negative_log_likelihood if name == "likelihood" else expectation_loss
    return loss_of(output.data, unary, pairwise).mean()
