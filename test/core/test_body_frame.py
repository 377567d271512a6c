"""The body's root frame (REP-155) and rotation matrices as quaternions."""

import numpy as np
import pytest

from depth_pose_ros.core.body_frame import body_frame, quaternion
from helpers.poses import standing

OUT_OF_CHEST, TO_THE_LEFT, TO_THE_HEAD = range(3)


def test_origin_is_the_middle_of_the_hips():
    origin, _ = body_frame(standing(x=0.4, z=3.0).joints)
    np.testing.assert_allclose(origin, (0.4, 0.0, 3.0), atol=1e-6)


@pytest.mark.parametrize(
    ("yaw", "forward"),
    [(0.0, (0, 0, -1)), (np.pi, (0, 0, 1)), (np.pi / 2, (1, 0, 0)), (0.5, (0.479, 0, -0.878))],
)
def test_axes_follow_the_body(yaw, forward):
    _, axes = body_frame(standing(yaw=yaw).joints)
    np.testing.assert_allclose(axes[:, OUT_OF_CHEST], forward, atol=1e-3)
    np.testing.assert_allclose(axes[:, TO_THE_LEFT], (np.cos(yaw), 0, np.sin(yaw)), atol=1e-6)
    np.testing.assert_allclose(axes[:, TO_THE_HEAD], (0, -1, 0), atol=1e-6)


def test_axes_are_a_rotation_whatever_the_joints():
    rng = np.random.default_rng(1)
    for _ in range(50):
        _, axes = body_frame(rng.normal(size=(19, 3)).astype(np.float32))
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
        assert np.linalg.det(axes) == pytest.approx(1)


def test_degenerate_torso_faces_the_camera():
    origin, axes = body_frame(np.full((19, 3), 2.0, np.float32))
    np.testing.assert_allclose(origin, 2.0)
    np.testing.assert_array_equal(axes, body_frame(standing().joints)[1].round())


def test_quaternion_against_scipy():
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    half_turns = [np.diag(d).astype(float) for d in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    matrices = [np.eye(3), *half_turns, *rotation.random(200, random_state=2).as_matrix()]
    for matrix in matrices:
        q = np.array(quaternion(matrix))
        assert q[3] >= 0 and np.linalg.norm(q) == pytest.approx(1)
        np.testing.assert_allclose(rotation.from_quat(q).as_matrix(), matrix, atol=1e-12)
