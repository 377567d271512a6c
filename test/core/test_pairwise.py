"""Pairwise terms: the product form against psi written out."""

import torch

from depth_pose_ros.core.models.pairwise import deformation, psi


def test_psi_is_in_the_papers_order() -> None:
    assert psi(torch.tensor([2.0, 3.0, -4.0])).tolist() == [2, 4, 3, 9, -4, 16]


def test_deformation_against_all_pairs_of_psi() -> None:
    torch.manual_seed(0)
    anchors = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    children = torch.randn(2, 4, 6, 3, dtype=torch.float64)
    gamma = torch.randn(4, 6, dtype=torch.float64)
    naive = psi(children[:, :, None] - anchors[:, :, :, None]) @ gamma[:, None, :, None]
    assert torch.allclose(deformation(anchors, children, gamma), naive[..., 0])


def test_float32_is_accurate_far_from_the_camera() -> None:
    """Millimetres count at 8 m, where squared coordinates are 64 square metres."""
    torch.manual_seed(0)
    anchors = torch.tensor([1.0, -1.0, 8.0]) + 0.1 * torch.randn(1, 3, 50, 3)
    children = anchors + 0.3 * torch.randn(1, 3, 50, 3)
    gamma = torch.randn(3, 6) * 50
    naive = (
        psi((children[:, :, None] - anchors[:, :, :, None]).double())
        @ gamma.double()[:, None, :, None]
    )
    assert (deformation(anchors, children, gamma) - naive[..., 0]).abs().max() < 1e-3


def test_gradcheck() -> None:
    torch.manual_seed(0)
    anchors, children, gamma = (
        torch.randn(*size, dtype=torch.float64, requires_grad=True)
        for size in ((1, 2, 3, 3), (1, 2, 4, 3), (2, 6))
    )

    def uncentred(a: torch.Tensor, c: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        # Centring cancels in exact arithmetic, so it may be left out of the derivative.
        return deformation(a, c, g)

    assert torch.autograd.gradcheck(uncentred, (anchors, children, gamma))
