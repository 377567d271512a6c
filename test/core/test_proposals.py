"""Proposals: pixels in the crop and points in space."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depth_pose_ros.core.crops import DEPTH_RANGE, FAR, HEIGHT, WIDTH, frame_around
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.proposals import (
    MIN_DEPTH,
    coarse_maximum,
    locate,
    read_maps,
    read_smooth,
    window_pixels,
)
from depth_pose_ros.core.skeleton import NUM_JOINTS

FRAME = frame_around((0.4, -0.2, 2.5))


def _output(heat: Tensor) -> FcnOutput:
    return FcnOutput(heat, torch.zeros_like(heat), None, logits=True)


def test_coarse_maximum_is_the_highest_cell() -> None:
    heat = torch.randn(3, NUM_JOINTS, 28, 23)
    found = coarse_maximum(_output(heat), stride=8, refine=False)
    for b in range(3):
        for k in range(NUM_JOINTS):
            row, column = np.unravel_index(int(heat[b, k].argmax()), (28, 23))
            assert found[b, k].tolist() == [8 * column, 8 * row]


@pytest.mark.parametrize("x", [60.0, 61.0, 62.5, 0.5])
def test_refinement_reads_between_cells(x: float) -> None:
    columns, rows = 4.0 * torch.arange(44), 4.0 * torch.arange(54)
    log_gaussian = -((columns - x) ** 2 + (rows[:, None] - 100.6) ** 2) / (2 * 5.0**2)
    found = coarse_maximum(_output(log_gaussian.expand(1, 1, 54, 44)), stride=4, refine=True)
    assert found[0, 0, 1] == pytest.approx(100.6, abs=0.5)
    if x > 8:  # a maximum at the border is only seen from one side
        assert found[0, 0, 0] == pytest.approx(x, abs=0.5)
    assert torch.isfinite(found).all()


def test_window_is_every_pixel_round_the_centre() -> None:
    pixels = window_pixels(torch.tensor([[[80.4, 100.0]]]), 17, HEIGHT, WIDTH)
    expected = [[x, y] for y in range(92, 109) for x in range(72, 89)]
    assert pixels[0, 0].tolist() == expected
    assert len(expected) == 289


@pytest.mark.parametrize("centre", [(0.0, 0.0), (175.0, 215.0), (-30.0, 400.0), (3.0, 212.0)])
def test_window_is_shifted_into_the_crop(centre: tuple[float, float]) -> None:
    pixels = window_pixels(torch.tensor([[centre]]), 17, HEIGHT, WIDTH)[0, 0]
    assert len(set(map(tuple, pixels.tolist()))) == 289
    assert pixels.min() >= 0
    assert pixels[:, 0].max() <= WIDTH - 1
    assert pixels[:, 1].max() <= HEIGHT - 1


def test_read_maps_against_naive_bilinear() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 2, 6, 5, dtype=torch.float64)
    pixels = torch.rand(2, 3, 40, 2, dtype=torch.float64) * torch.tensor([24.0, 28.0])
    values = read_maps(maps, pixels, stride=4)
    for b, k, i in np.ndindex(2, 3, 40):
        x, y = (pixels[b, k, i] / 4).tolist()
        x, y = min(x, 4.0), min(y, 5.0)
        x0, y0 = min(int(x), 3), min(int(y), 4)
        fx, fy = x - x0, y - y0
        m = maps[b, k]
        naive = (1 - fy) * ((1 - fx) * m[:, y0, x0] + fx * m[:, y0, x0 + 1]) + fy * (
            (1 - fx) * m[:, y0 + 1, x0] + fx * m[:, y0 + 1, x0 + 1]
        )
        assert torch.allclose(values[b, k, i], naive)


def test_smooth_interpolation_reproduces_parabolas() -> None:
    """The logarithm of a Gaussian, read between the cells of both networks' maps."""
    for stride, rows, columns in ((8, 28, 23), (4, 54, 44)):
        y, x = stride * torch.arange(rows), stride * torch.arange(columns)
        maps = -((x - 81.3) ** 2 + (y[:, None] - 97.7) ** 2) / 50.0
        pixels = window_pixels(torch.tensor([[[80.0, 100.0]]]), 17, HEIGHT, WIDTH)
        values = read_smooth(maps[None, None].double(), pixels, stride)[0, 0]
        px, py = pixels[0, 0].double().T
        assert torch.allclose(values, -((px - 81.3) ** 2 + (py - 97.7) ** 2) / 50.0, atol=1e-4)


def test_smooth_interpolation_of_windows_equals_that_of_pixels() -> None:
    maps = torch.randn(2, 3, 54, 44)
    centres = torch.rand(2, 3, 2) * torch.tensor([WIDTH, HEIGHT])
    pixels = window_pixels(centres, 17, HEIGHT, WIDTH)
    expected = read_smooth(maps, pixels, 4)
    assert torch.allclose(read_smooth(maps, pixels, 4, side=17), expected, atol=1e-5)


def test_smooth_interpolation_at_cells_and_borders() -> None:
    maps = torch.randn(1, 2, 54, 44)
    corners = torch.tensor([[0, 0], [172, 212], [175, 215]]).expand(1, 2, 3, 2)
    values = read_smooth(maps, corners, 4)
    assert torch.allclose(values[..., 0], maps[..., 0, 0], atol=1e-5)
    assert torch.allclose(values[..., 1], maps[..., 53, 43], atol=1e-5)
    assert torch.isfinite(values).all()


def _locate(crop: Tensor, pixels: Tensor, depth: float = 0.0) -> tuple[Tensor, Tensor]:
    return locate(
        pixels,
        torch.full((1, 1, 54, 44), depth),
        4,
        crop,
        torch.from_numpy(FRAME.as_array())[None],
        torch.tensor([0.1]),
        0.15,
    )


def test_joint_lies_behind_the_measured_surface() -> None:
    crop = torch.full((1, 1, HEIGHT, WIDTH), 0.05 / DEPTH_RANGE)
    points, measured = _locate(crop, torch.tensor([[[[30, 70], [175, 215]]]]), depth=0.1)
    assert measured.all()
    for point, pixel in zip(points[0, 0], [(30, 70), (175, 215)], strict=True):
        assert point[2] == pytest.approx(2.5 + 0.05 + 0.1)
        assert np.allclose(point, FRAME.to_space(pixel, 2.65), atol=1e-5)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(FAR, id="missing"),
        pytest.param(-1.0, id="clipped"),
        pytest.param(-0.4 / DEPTH_RANGE, id="occluder in front"),
        pytest.param(0.5 / DEPTH_RANGE, id="background beside"),
    ],
)
def test_unseen_joints_take_the_predicted_depth(value: float) -> None:
    crop = torch.full((1, 1, HEIGHT, WIDTH), value)
    points, measured = _locate(crop, torch.tensor([[[[30, 70]]]]), depth=0.2)
    assert not measured.any()
    assert points[0, 0, 0, 2] == pytest.approx(2.7)


def test_extreme_predictions_stay_in_front_of_the_camera() -> None:
    crop = torch.full((1, 1, HEIGHT, WIDTH), FAR)
    points, _ = _locate(crop, torch.tensor([[[[30, 70]]]]), depth=-50.0)
    assert points[0, 0, 0, 2] == pytest.approx(MIN_DEPTH)


def test_gradients_reach_the_depth_map() -> None:
    depth = torch.zeros(1, 1, 54, 44, requires_grad=True)
    crop = torch.full((1, 1, HEIGHT, WIDTH), FAR)
    frame = torch.from_numpy(FRAME.as_array())[None]
    pixels = torch.tensor([[[[30, 70]]]])
    points, _ = locate(pixels, depth, 4, crop, frame, torch.zeros(1), 0.15)
    points.sum().backward()
    assert depth.grad is not None
    assert F.relu(depth.grad).count_nonzero() > 0
