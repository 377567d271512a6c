"""A camera in a room: the optical frame looks along x of the room, 1 m above the floor."""

import numpy as np

ROTATION = (-0.5, 0.5, -0.5, 0.5)  #: quaternion x, y, z, w
POSITION = (3.0, -2.0, 1.0)  #: metres


def in_room(joints: np.ndarray, x: float = POSITION[0]) -> np.ndarray:
    """Joints in the optical frame (z forward, x right, y down) -> in the room; x: of the camera."""
    return np.stack(
        (x + joints[:, 2], POSITION[1] - joints[:, 0], POSITION[2] - joints[:, 1]), axis=-1
    )
