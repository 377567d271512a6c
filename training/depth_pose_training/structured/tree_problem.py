"""The tree of proposals as a linear model w.F(g | I), and its structural SVM (Eqn. 2 and 9).

w is one vector: the unary weights (19, D), then Gamma (18, 6).  The features differ by orders of
magnitude (probabilities, log-heat, meters, square meters), so that 1/2 |w|^2 would regularize their
weights unequally.  The SVM therefore uses features divided by their standard deviation over a
window, and weights multiplied by it.  :meth:`TreeProblem.unscaled` reverts the scaling.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from depth_pose_ros.core.models.pairwise import deformation, psi
from depth_pose_ros.core.models.proposals import gather_proposals
from depth_pose_ros.core.models.tree_inference import max_sum
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS, EDGES, NUM_JOINTS
from depth_pose_training.learning.boxes import BOX
from depth_pose_training.structured.structural_svm import Array, Bounds
from depth_pose_training.structured.tree_data import TreeData

_CHUNK = 16  # crops whose pairwise terms are in memory at once


@dataclass(frozen=True)
class TreeWeights:
    """w, as parameters of the network.

    Attributes:
        unary: (19, D), w_k of Eqn. 3, then the weight of the log-heat if the model has it.
        gamma: (18, 6), Gamma of Eqn. 4.
    """

    unary: Tensor
    gamma: Tensor

    def flat(self) -> Tensor:
        """(19 D + 108,)."""
        return torch.cat((self.unary.flatten(), self.gamma.flatten()))

    def on_cpu(self) -> "TreeWeights":
        """A copy on the CPU without gradient."""
        return TreeWeights(self.unary.detach().cpu(), self.gamma.detach().cpu())

    @staticmethod
    def of(flat: Tensor) -> "TreeWeights":
        """Inverse of :meth:`flat`."""
        count = flat.numel() - 6 * len(EDGES)
        return TreeWeights(flat[:count].view(NUM_JOINTS, -1), flat[count:].view(len(EDGES), 6))


def tree_terms(data: TreeData, weights: TreeWeights) -> tuple[Tensor, Tensor]:
    """U (L, 19, n) and R (L, 18, n, n); differentiable in the weights."""
    unary = (data.features.float() @ weights.unary[..., None])[..., 0]
    return unary, deformation(data.anchors, data.points[:, EDGE_CHILDREN], weights.gamma)


def feature_sum(data: TreeData, choice: Tensor) -> Tensor:
    """F of one configuration per crop: (L, 19) choices -> (L, 19 D + 108)."""
    features = gather_proposals(data.features, choice).float()
    points = gather_proposals(data.points, choice)
    anchors = gather_proposals(data.anchors, choice[:, EDGE_PARENTS])
    bones = psi(points[:, EDGE_CHILDREN] - anchors)
    return torch.cat((features.flatten(1), bones.flatten(1)), dim=1)


def feature_scale(data: TreeData) -> TreeWeights:
    """Standard deviation of every feature over the proposals of a part or the pairs of an edge.

    Mean over the crops; 1 for constant features.
    """
    unary = data.features.float().std(2).mean(0)
    children = data.points[:, EDGE_CHILDREN]
    # A random sample of n of the n * n pairs.
    generator = torch.Generator().manual_seed(0)
    shuffled = children[:, :, torch.randperm(children.shape[2], generator=generator)]
    pairwise = psi(shuffled - data.anchors).std(2).mean(0)
    return TreeWeights(*(torch.where(f > 1e-6, f, 1.0) for f in (unary, pairwise)))


def configuration_loss(data: TreeData, tau: float, clip: bool) -> Tensor:
    """Share of each proposal in h, the loss of Eqn. 8: (L, 19, n).

    In the paper h is 1 if the mean squared error of a configuration exceeds tau, else 0.  That is
    not a sum over parts, which tree inference needs.  The loss is therefore

    - the mean squared error divided by tau, an upper bound of h, so that the hinge still bounds the
      loss of the paper; or,
    - with ``clip``, the mean over parts of the squared error divided by tau, limited to 1 per part.

    The paper gives no unit of tau = 0.2.  Here errors are in box sides (10 px), so that tau
    corresponds to 4.5 px.  In torso diameters no configuration within the windows would exceed tau.
    Unsupervised parts have no loss.
    """
    off = (data.pixels - data.truth_pixels[:, :, None]) / BOX
    loss = off.square().sum(-1) / tau
    if clip:
        loss = loss.clamp(max=1)
    supervised = data.supervised.to(loss.dtype)
    return loss * (supervised / supervised.sum(1, keepdim=True).clamp(min=1))[..., None]


class TreeProblem:
    """Eqn. 9 on some crops; all sums over crops are means.

    Attributes:
        scale: (19 D + 108,) of the features.
        bounds: none for the unary weights; at most 0 for the quadratic weights of Gamma, so that
            pairwise terms do not reward distance.
    """

    def __init__(self, data: TreeData, tau: float, clip: bool, groups: int = 10) -> None:
        self._data = data
        self._loss = configuration_loss(data, tau, clip)
        self._tau = tau
        self._groups = np.arange(len(data)) * min(groups, len(data)) // len(data)
        self.scale = feature_scale(data).flat().double().numpy()
        upper = TreeWeights.of(torch.full((len(self.scale),), torch.inf))
        upper.gamma[:, 1::2] = 0
        self.bounds = Bounds(np.full(len(self.scale), -np.inf), upper.flat().double().numpy())

    def unscaled(self, w: Array) -> TreeWeights:
        """The network's weights."""
        return TreeWeights.of(torch.from_numpy(w / self.scale).float())

    def scaled(self, weights: TreeWeights) -> Array:
        """Inverse of :meth:`unscaled`."""
        flat: Array = weights.flat().double().numpy() * self.scale
        return flat

    def augmented(self, w: Array) -> tuple[Array, Array]:
        """Loss-augmented inference, summed per group of crops."""
        values, features = self._maximize(w, self._loss, None)
        count = int(self._groups[-1]) + 1
        sums = np.zeros((count, len(w)))
        np.add.at(sums, self._groups, features)
        totals = np.zeros(count)
        np.add.at(totals, self._groups, values)
        return totals, sums

    def completed(self, w: Array) -> tuple[float, Array]:
        """Best configurations among those that agree with the true joints."""
        values, features = self._maximize(w, None, self._data.allowed)
        return float(values.sum()), features.sum(0)

    def wrong(self, w: Array) -> float:
        """Mean of h (Eqn. 8): share of configurations with a mean squared error above tau."""
        weights, shares = self.unscaled(w), []
        for data in self._data.chunks(_CHUNK):
            choice = max_sum(*tree_terms(data, weights), EDGES)[1]
            loss = configuration_loss(data, self._tau, clip=False)
            shares.append(loss.gather(2, choice[..., None]).sum((1, 2)) > 1)
        return float(torch.cat(shares).float().mean())

    def _maximize(
        self, w: Array, loss: Tensor | None, allowed: Tensor | None
    ) -> tuple[Array, Array]:
        weights, count = self.unscaled(w), len(self._data)
        values, features = np.zeros(count), np.zeros((count, len(w)))
        for part in (slice(i, i + _CHUNK) for i in range(0, count, _CHUNK)):
            data = self._data[part]
            unary, pairwise = tree_terms(data, weights)
            if loss is not None:
                unary = unary + loss[part]
            if allowed is not None:
                unary = unary.masked_fill(~allowed[part], -torch.inf)
            _, choice = max_sum(unary, pairwise, EDGES)
            f = feature_sum(data, choice).double().numpy() / self.scale
            # In double precision: the value of a cut must agree with its gradient.
            values[part] = f @ w
            if loss is not None:
                values[part] += loss[part].gather(2, choice[..., None]).sum((1, 2)).double().numpy()
            features[part] = f
        return values / count, features / count
