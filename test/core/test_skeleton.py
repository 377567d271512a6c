"""The body."""

import numpy as np
import pytest

from depth_pose_ros.core.camera import Camera, CameraError
from depth_pose_ros.core.skeleton import EDGES, FLIP_INDEX, INDEX, JOINTS, PARENTS, ROOT


def test_the_tree_spans_all_joints_from_the_head() -> None:
    assert len(JOINTS) == 19
    assert len(EDGES) == 18
    assert PARENTS[ROOT] == -1
    reached = {ROOT}
    for edge in EDGES:  # parents first
        assert edge.parent in reached
        reached.add(edge.child)
    assert reached == set(range(19))


def test_flip_index_swaps_sides_and_keeps_the_tree() -> None:
    assert [FLIP_INDEX[FLIP_INDEX[k]] for k in range(19)] == list(range(19))
    assert FLIP_INDEX[INDEX["LeftHand"]] == INDEX["RightHand"]
    assert FLIP_INDEX[INDEX["Neck"]] == INDEX["Neck"]
    assert {(FLIP_INDEX[e.parent], FLIP_INDEX[e.child]) for e in EDGES} == {tuple(e) for e in EDGES}


def test_projection_and_back() -> None:
    camera = Camera(365.0, 360.0, 255.5, 211.5, 512, 424)
    points = np.random.default_rng(0).uniform((-1, -1, 1), (1, 1, 4), (20, 3))
    back = camera.back_project(camera.project(points), points[:, 2])
    np.testing.assert_allclose(back, points, atol=1e-12)
    np.testing.assert_allclose(camera.project((0.0, 0.0, 2.0)), (255.5, 211.5))


@pytest.mark.parametrize("values", [(0, 0, 0, 0), (-1, 1, 0, 0), (float("nan"), 1, 0, 0)])
def test_impossible_intrinsics_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(CameraError):
        Camera(*values, 512, 424)


def test_all_zero_intrinsics_are_named() -> None:
    with pytest.raises(CameraError, match="all-zero K"):
        Camera(0.0, 0.0, 0.0, 0.0, 512, 424)
