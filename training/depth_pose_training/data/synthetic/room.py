"""Walls around a scene, as endless planes, different for every view of it."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_training.data.synthetic.config import Room
from depth_pose_training.data.synthetic.render import Plane, Viewpoint

Array = NDArray[np.float64]
_MARGIN = 0.02  #: metres between a wall and whom it must not cut


def walls(
    viewpoint: Viewpoint,
    target: Array,
    keep: NDArray[np.floating],
    config: Room,
    rng: np.random.Generator,
) -> list[Plane]:
    """Walls behind and beside a point as one camera sees it.

    Args:
        viewpoint: the camera; it stays inside.
        target: (3,) world point that walls stand behind of and beside.
        keep: (N, 3) world points that stay inside: the people.
    """
    inside = np.concatenate((keep, viewpoint.position[None]))
    planes = []
    if rng.random() < config.back_wall:
        turn = viewpoint.yaw + rng.normal(0, 0.35)
        planes.append(_wall(turn, target, rng.uniform(0.35, 4.0), inside))
    for side in (-1, 1):
        if rng.random() < config.side_wall:
            turn = viewpoint.yaw + side * np.pi / 2 + rng.normal(0, 0.2)
            planes.append(_wall(turn, target, rng.uniform(1.2, 4.0), inside))
    return planes


def _wall(yaw: float, target: Array, distance: float, inside: Array) -> Plane:
    """A vertical wall beyond ``target`` in the direction ``yaw``, pushed out past ``inside``."""
    outwards = np.array((-np.sin(yaw), np.cos(yaw), 0.0))
    farthest = float((inside @ outwards).max()) + _MARGIN
    return Plane(outwards, max(float(target @ outwards) + distance, farthest))


def floor_and_ceiling(config: Room, tallest: float, rng: np.random.Generator) -> list[Plane]:
    """The horizontal ones; ``tallest`` metres fit under the ceiling."""
    planes = []
    if rng.random() < config.floor:
        planes.append(Plane(np.array((0.0, 0.0, 1.0)), 0.0))
    if rng.random() < config.ceiling:
        height = max(rng.uniform(2.3, 3.2), tallest + _MARGIN)
        planes.append(Plane(np.array((0.0, 0.0, 1.0)), height))
    return planes
