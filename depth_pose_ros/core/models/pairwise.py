"""Task two, geometry: the spatial deformation of every bone (Sect. 3.2, Eqn. 4).

R = Gamma . psi with psi = [dx, dx^2, dy, dy^2, dz, dz^2] and d the displacement of the child's
proposal from the parent's, in metres, in the optical frame.
"""

import torch
from torch import Tensor


def psi(displacement: Tensor) -> Tensor:
    """(..., 3) metres -> (..., 6): dx, dx^2, dy, dy^2, dz, dz^2."""
    return torch.stack((displacement, displacement.square()), dim=-1).flatten(-2)


def deformation(anchors: Tensor, children: Tensor, gamma: Tensor) -> Tensor:
    """Gamma . psi(child - anchor) for all pairs of proposals, without forming psi.

    Args:
        anchors: (B, E, n, 3) metres, origin of the child's displacement: the parent's proposals,
            or those plus a predicted displacement (psi is then taken of the residual).
        children: (B, E, m, 3) metres, the child's proposals.
        gamma: (E, 6) in the order of :func:`psi`.

    Returns:
        (B, E, n, m).
    """
    left, right = factors(anchors, children, gamma)
    return left @ right.transpose(-1, -2)


def factors(anchors: Tensor, children: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is :func:`deformation`.

    With g1, g2 the linear and quadratic weights of an axis, its part of the score is
    (g2 a^2 - g1 a) + (g1 c + g2 c^2) - 2 g2 a c: a term of the anchor, a term of the child and a
    product, so that all pairs are one matrix product of rank 5.

    Args:
        anchors, children, gamma: as of :func:`deformation`; the batch dimension is optional.

    Returns:
        (..., E, n, 5) of the anchors and (..., E, m, 5) of the children.  The last column of the
        former is 1, so terms of the children alone may be added to the last of the latter.
    """
    # Near the origin the squares are small and the difference of products keeps its precision.
    centre = anchors.detach().mean(-2, keepdim=True)
    a, c = anchors - centre, children - centre
    linear, square = gamma[:, None, 0::2], gamma[:, None, 1::2]
    of_anchor = (a * (square * a - linear)).sum(-1, keepdim=True)
    of_child = (c * (square * c + linear)).sum(-1, keepdim=True)
    left = torch.cat((-2 * square * a, of_anchor, torch.ones_like(of_anchor)), dim=-1)
    return left, torch.cat((c, torch.ones_like(of_child), of_child), dim=-1)
