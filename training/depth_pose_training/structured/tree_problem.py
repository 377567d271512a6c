"""The tree of proposals as a linear model: w.F(g | I) and its structural SVM (Eqn. 2 and 9).

w is one vector: the unary weights (19, D), then Gamma (18, 6).  Its features differ by orders of
magnitude (probabilities, log-heat, metres, square metres), and 1/2 |w|^2 would shrink them
unequally; so the SVM sees features divided by their spread over a window, and weights multiplied
with it.  :meth:`TreeProblem.unscaled` folds the scale back.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from depth_pose_ros.core.models.pairwise import deformation, psi
from depth_pose_ros.core.models.tree_inference import max_sum
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS, EDGES, NUM_JOINTS
from depth_pose_training.learning.boxes import BOX
from depth_pose_training.structured.structural_svm import Array, Bounds
from depth_pose_training.structured.tree_data import TreeData

#: Crops whose pairwise terms are in memory at once.
_CHUNK = 16


@dataclass(frozen=True)
class TreeWeights:
    """w, as the network has it.

    Attributes:
        unary: (19, D).
        gamma: (18, 6).
    """

    unary: Tensor
    gamma: Tensor

    def flat(self) -> Tensor:
        """(19 D + 108,)."""
        return torch.cat((self.unary.flatten(), self.gamma.flatten()))

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
    at = choice[..., None, None]
    features = data.features.gather(2, at.expand(-1, -1, 1, data.features.shape[-1]))[:, :, 0]
    points = data.points.gather(2, at.expand(-1, -1, 1, 3))[:, :, 0]
    at = at[:, EDGE_PARENTS]
    anchors = data.anchors.gather(2, at.expand(-1, -1, 1, 3))[:, :, 0]
    return torch.cat(
        (features.float().flatten(1), psi(points[:, EDGE_CHILDREN] - anchors).flatten(1)), dim=1
    )


def feature_scale(data: TreeData) -> TreeWeights:
    """Spread of every feature over a part's proposals (or an edge's pairs), mean over crops."""
    unary = data.features.float().std(2).mean(0)
    children = data.points[:, EDGE_CHILDREN]
    # Pairs at random: all of them would say the same.
    shuffled = children[:, :, torch.randperm(children.shape[2], generator=_fixed())]
    pairwise = psi(shuffled - data.anchors).std(2).mean(0)
    # A feature that never differs has no say, whatever its weight.
    return TreeWeights(*(torch.where(f > 1e-6, f, 1.0) for f in (unary, pairwise)))


def configuration_loss(data: TreeData, tau: float, clip: bool) -> Tensor:
    """What each proposal adds to h, Eqn. 8's loss: (L, 19, n).

    h is 0 or 1 by whether the mean squared error of a whole configuration exceeds tau.  A mean
    over parts that is cut off afterwards is not a sum of the parts' own losses, so the dynamic
    programme cannot maximize with it.  In its place stands

    - the mean of the squared errors over tau, which is never below h (x > 1 wherever h = 1), so
      that the hinge still bounds the paper's loss; or,
    - with ``clip``, the mean of each part's squared error over tau cut off at 1: a part that is
      wrong counts once, however far off it is.

    The paper does not say in which unit tau = 0.2 is; here errors are in sides of the proposals'
    boxes (10 px), so that tau is 4.5 px.  (In torso diameters no configuration within the windows
    would ever be wrong.)  Parts that are not asked for add nothing.
    """
    off = (data.pixels - data.truth_pixels[:, :, None]) / BOX
    loss = off.square().sum(-1) / tau
    if clip:
        loss = loss.clamp(max=1)
    asked = data.asked.to(loss.dtype)
    return loss * (asked / asked.sum(1, keepdim=True).clamp(min=1))[..., None]


class TreeProblem:
    """Eqn. 9 on some crops; sums are means over them.

    Attributes:
        scale: (19 D + 108,) of the features.
        bounds: none on the unary weights; Gamma's quadratic weights at most 0, so that a bone's
            term is a hill and never a bowl, which would reward the farthest proposals.
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
        """Loss-augmented inference, by groups of crops."""
        values, features = self._maximize(w, self._loss, None)
        count = int(self._groups[-1]) + 1
        sums = np.zeros((count, len(w)))
        np.add.at(sums, self._groups, features)
        totals = np.zeros(count)
        np.add.at(totals, self._groups, values)
        return totals, sums

    def completed(self, w: Array) -> tuple[float, Array]:
        """Completion of the true configurations."""
        values, features = self._maximize(w, None, self._data.allowed)
        return float(values.sum()), features.sum(0)

    def wrong(self, w: Array) -> float:
        """Mean of the printed h (Eqn. 8): the share of configurations that are off by over tau."""
        weights, shares = self.unscaled(w), []
        for part in self._parts():
            data = self._data[part]
            choice = max_sum(*tree_terms(data, weights), EDGES)[1]
            loss = configuration_loss(data, self._tau, clip=False)
            shares.append(loss.gather(2, choice[..., None]).sum((1, 2)) > 1)
        return float(torch.cat(shares).float().mean())

    def _parts(self) -> list[slice]:
        return [slice(i, i + _CHUNK) for i in range(0, len(self._data), _CHUNK)]

    def _maximize(
        self, w: Array, loss: Tensor | None, allowed: Tensor | None
    ) -> tuple[Array, Array]:
        weights, count = self.unscaled(w), len(self._data)
        values, features = np.zeros(count), np.zeros((count, len(w)))
        for part in self._parts():
            data = self._data[part]
            unary, pairwise = tree_terms(data, weights)
            if loss is not None:
                unary = unary + loss[part]
            if allowed is not None:
                unary = unary.masked_fill(~allowed[part], -torch.inf)
            _, choice = max_sum(unary, pairwise, EDGES)
            f = feature_sum(data, choice).double().numpy() / self.scale
            # Summed again in double precision: cuts must agree with their own gradients.
            values[part] = f @ w
            if loss is not None:
                values[part] += loss[part].gather(2, choice[..., None]).sum((1, 2)).double().numpy()
            features[part] = f
        return values / count, features / count


def _fixed() -> torch.Generator:
    return torch.Generator().manual_seed(0)
