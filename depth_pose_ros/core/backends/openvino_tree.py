"""The dynamic programme: compiled code, or one OpenVINO model."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from depth_pose_ros.core.backends.native import Steps
from depth_pose_ros.core.backends.openvino_compiled import Both
from depth_pose_ros.core.backends.openvino_models import convert
from depth_pose_ros.core.models.pairwise import factors
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.tree_inference import schedule
from depth_pose_ros.core.skeleton import EDGES, NUM_JOINTS


class Marginals(nn.Module):
    """:func:`depth_pose_ros.core.models.tree_inference.sum_product` of one crop, written out edge by edge.

    An edge's n x n terms, with its child's beliefs, are one matrix product; with one edge at a time
    they are used while they are in the processor's cache.

    Args:
        gamma: (18, 6), Gamma of Eqn. 4.
        temperature: ().
    """

    def __init__(self, gamma: Tensor, temperature: Tensor) -> None:
        super().__init__()
        self.gamma = nn.Parameter((gamma / temperature).detach(), requires_grad=False)
        self.temperature = nn.Parameter(temperature.detach().clone(), requires_grad=False)

    def forward(self, unary: Tensor, anchors: Tensor, children: Tensor) -> Tensor:
        """Unary terms (19, n), anchors and children (18, n, 3) metres -> marginals (19, n)."""
        levels, root = schedule(EDGES, NUM_JOINTS)
        beliefs = list((unary / self.temperature).unbind(0))
        left, right = factors(anchors, children, self.gamma)
        kept: dict[int, tuple[Tensor, Tensor]] = {}
        for level in levels:
            for e, p, c in zip(*level, strict=True):
                # The last factor of the child's is a term of its own: its belief joins it.
                own = right[e, :, -1:] + beliefs[c][:, None]
                terms = left[e] @ torch.cat((right[e, :, :-1], own), dim=-1).T
                peak = terms.amax(-1, keepdim=True)
                likelihood = (terms - peak).exp()
                total = likelihood.sum(-1, keepdim=True)
                kept[e] = likelihood, total[:, 0]
                beliefs[p] = beliefs[p] + (total.log() + peak)[:, 0]
        marginals = [torch.zeros(())] * NUM_JOINTS
        marginals[root] = beliefs[root].softmax(-1)
        for level in reversed(levels):
            for e, p, c in zip(*level, strict=True):
                likelihood, total = kept[e]
                marginals[c] = ((marginals[p] / total)[None] @ likelihood)[0]
        return torch.stack(marginals)


#: Lane (None: there is no other), unary terms (1, 19, n), anchors and children (1, 18, n, 3) -> how
#: much every candidate counts (1, 19, n), as of :meth:`PoseNetwork.infer`.
Tree = Callable[[int | None, Tensor, Tensor, Tensor], Tensor]


def make_tree(network: PoseNetwork, threads: int, native: Steps | None) -> Tree | None:
    """The fastest programme for a network on the CPU; None where torch's own is.

    Args:
        network: float32.
        threads: processor threads, and how many may call at once, each on a worker below that.
        native: the network's compiled steps.
    """
    if native is not None:
        return lambda worker, *terms: native.tree.weigh(worker or 0, *terms)
    if network.config.readout != "marginals":
        return None
    count, points = network.config.proposals, (len(EDGES), network.config.proposals, 3)
    module = Marginals(network.gamma, network.temperature)
    programs = Both(convert(module, (NUM_JOINTS, count), points, points), threads)

    def weigh(worker: int | None, *terms: Tensor) -> Tensor:
        arrays = [t[0].numpy() for t in terms]
        run = programs.alone if worker is None else partial(programs.workers.on, worker)
        return run(*arrays)[0][None]

    return weigh
