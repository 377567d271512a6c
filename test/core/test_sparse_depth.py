"""Filling the gaps between isolated measurements."""

import numpy as np
import pytest

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.sparse_depth import fill_sparse
from depth_pose_ros.demo.sources.clip import builtin_clip


@pytest.fixture(scope="module")
def frame() -> tuple[np.ndarray, Camera]:
    clip = builtin_clip()
    depth = next(f.depth for i, f in enumerate(clip) if i == 75)
    return depth.astype(np.float32) / 1000, clip.camera


def registered(depth: np.ndarray, camera: Camera, scale: float) -> tuple[np.ndarray, Camera]:
    """The image in the grid of a larger camera, every measurement at one pixel."""
    h, w = (int(scale * s) for s in depth.shape)
    rows, columns = np.indices(depth.shape)
    larger = np.zeros((h, w), np.float32)
    larger[(rows * scale).astype(int), (columns * scale).astype(int)] = depth
    fx, fy, cx, cy = (scale * v for v in (camera.fx, camera.fy, camera.cx, camera.cy))
    return larger, Camera(fx, fy, cx, cy, w, h)


def thinned(depth: np.ndarray, kind: str) -> np.ndarray:
    """The image without some of its measurements."""
    depth = depth.copy()
    if kind == "rows":
        depth[::2] = 0
    elif kind == "columns":
        depth[:, 1::2] = np.nan
    else:
        depth[np.random.default_rng(0).random(depth.shape) < float(kind)] = 0
    return depth


def test_dense_images_are_returned_unchanged(frame: tuple[np.ndarray, Camera]) -> None:
    filled = fill_sparse(frame[0], 3.0)
    assert filled.depth is frame[0]
    assert filled.radius == 0
    assert filled.valid == pytest.approx((frame[0] > 0).mean())
    assert fill_sparse(np.zeros((50, 60), np.float32), 3.0).radius == 0


def test_images_at_the_resolution_of_the_networks_are_not_filled(
    frame: tuple[np.ndarray, Camera],
) -> None:
    sparse = thinned(frame[0], "rows")
    assert fill_sparse(sparse, 1.2).depth is sparse


@pytest.mark.parametrize("kind", ["rows", "columns", "0.5", "0.7"])
def test_gaps_get_the_nearest_measurement(frame: tuple[np.ndarray, Camera], kind: str) -> None:
    sparse = thinned(frame[0], kind)
    filled = fill_sparse(sparse, 3.0)
    assert filled.radius >= 1
    measured = sparse > 0
    np.testing.assert_array_equal(filled.depth[measured], sparse[measured])
    assert (filled.depth > 0).mean() > 0.9 * (frame[0] > 0).mean()
    rows, columns = np.nonzero((filled.depth > 0) & ~measured)
    for row, column in list(zip(rows.tolist(), columns.tolist(), strict=True))[::5000]:
        near = sparse[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4]
        assert filled.depth[row, column] in near


@pytest.mark.parametrize("scale", [1.5, 2.5])
def test_people_are_the_same_in_a_registered_image(
    frame: tuple[np.ndarray, Camera], scale: float
) -> None:
    estimator = PoseEstimator.from_pretrained(device="cpu")
    dense = estimator.estimate(*frame)
    sparse = estimator.estimate(*registered(*frame, scale))
    assert len(sparse) == len(dense) == 2
    for pose in sparse:
        errors = [np.linalg.norm(pose.joints - d.joints, axis=1).mean() for d in dense]
        assert min(errors) < 0.08  # metres
