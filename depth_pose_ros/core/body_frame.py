"""Position and orientation of a body: the root frame of REP-155."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import HIPS, INDEX

_LEFT = [INDEX["LeftHip"], INDEX["LeftShoulder"]]
_RIGHT = [INDEX["RightHip"], INDEX["RightShoulder"]]

#: Body axes, as columns, of a person who stands before the camera and faces it.
_FACING_CAMERA = np.array(((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (-1.0, 0.0, 0.0)))
_MIN_LENGTH = 1e-3  # metres; a shorter vector has no usable direction


def body_frame(joints: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The frame ``body_<id>`` of REP-155, "Body Frames".

    Args:
        joints: (19, 3) metres in the camera's optical frame.

    Returns:
        origin (3,), the middle of the hips, metres, optical frame; and axes (3, 3), whose columns
        are the body's x (out of the chest), y (to the person's left) and z (towards the head) in
        the optical frame.  Where the torso has no extent, the person is taken to face the camera.
    """
    points = joints.astype(np.float64)
    origin = points[list(HIPS)].mean(axis=0)
    up = points[INDEX["UpperSpine"]] - origin
    left = (points[_LEFT] - points[_RIGHT]).sum(axis=0)
    forward = np.cross(left, up)
    if np.linalg.norm(up) < _MIN_LENGTH or np.linalg.norm(forward) < _MIN_LENGTH**2:
        return origin, _FACING_CAMERA.copy()
    z = up / np.linalg.norm(up)
    x = forward / np.linalg.norm(forward)
    return origin, np.stack((x, np.cross(z, x), z), axis=1)


def quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """A (3, 3) rotation matrix -> (x, y, z, w) of unit length, w not negative.

    Shepperd's method: the largest component is computed first, so nothing is divided by a small
    number.
    """
    r = rotation
    trace = float(np.trace(r))
    squares = np.array((*(1 + 2 * np.diagonal(r) - trace), 1 + trace))  # 4 x^2, y^2, z^2, w^2
    largest = int(squares.argmax())
    # 4 q_i q_j for i != j, in terms of the matrix.
    products = np.array(
        (
            (squares[0], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]),
            (r[0, 1] + r[1, 0], squares[1], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]),
            (r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], squares[2], r[1, 0] - r[0, 1]),
            (r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], squares[3]),
        )
    )
    q = products[largest] / np.linalg.norm(products[largest])
    x, y, z, w = (q if q[3] >= 0 else -q).tolist()
    return x, y, z, w
