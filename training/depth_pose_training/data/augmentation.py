"""Crops made different: other bodies, other cameras, other surroundings.

Everything is exact in three dimensions: the scene goes through a linear map, and the crop's frame
and joints with it, so that every projection still holds.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.skeleton import FLIP_INDEX

_FLIP_INDEX = np.array(FLIP_INDEX)
_SHIFT = 12  #: pixels, at most
_DEPTH_SHIFT = 0.08  #: metres, at most
_AS_IT_IS = 0.3  #: share of crops that keep their shape
_ROLL = 0.12, 0.25  #: of the camera about its axis: standard deviation and most, radians
_SIZE = 0.13  #: of the body, at most
_STRETCH = 0.1  #: of its width alone, at most
_BLOCKED = 0.15  #: share of crops with a part covered
_CUT_OUT = 0.55  #: of a crop's pixels missing: it has no surroundings
_SURROUNDED = 0.35  #: share of crops without surroundings that get another crop's
_NEIGHBOUR = 0.1  #: share of crops that get a neighbour


@dataclass(frozen=True)
class Crops:
    """Crops as shards have them.

    Attributes:
        depth: (B, h, w) int16 millimetres from the frame's reference, or ``crops.MISSING``.
        frame: (B, 4) crop frames.
        joints: (B, 19, 3) metres, optical frame.
        visible: (B, 19) uint8.
    """

    depth: NDArray[np.int16]
    frame: NDArray[np.float32]
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]


def augment(given: Crops, rng: np.random.Generator) -> Crops:
    """Reshape, turn, mirror, shift and surround every crop of a batch, and block parts out.

    Surroundings and neighbours are other crops of the batch: one alone gets none.  Crops of nobody
    (no joint is known) stay among themselves what they are.
    """
    depth = np.empty_like(given.depth)
    frame, joints = given.frame.copy(), given.joints.copy()
    visible = given.visible.copy()
    somebody = np.asarray((given.joints[..., 2] > 0).any(1))
    missing = (given.depth == crops.MISSING).mean((1, 2))
    cut_out: NDArray[np.bool_] = somebody & (missing > _CUT_OUT)
    for b in range(len(depth)):
        plane, flip = _plane(rng)
        size = math.sqrt(abs(np.linalg.det(plane)))
        shift = rng.integers(-_SHIFT, _SHIFT + 1, 2)
        depth[b] = _warp(given.depth[b], plane, shift, size)
        frame[b], joints[b] = moved(frame[b], joints[b], plane, size, shift, depth.shape[1:])
        if flip:
            joints[b], visible[b] = joints[b][_FLIP_INDEX], visible[b][_FLIP_INDEX]
    # Partners are taken as they are by now, reshaped, but before they have partners of their own.
    alone = depth.copy()
    for b in range(len(depth)):
        others = np.delete(np.arange(len(depth)), b)
        if cut_out[b] and len(others) and rng.random() < _SURROUNDED:
            put_behind(depth[b], alone[int(rng.choice(others))], rng)
        neighbours = others[cut_out[others]]
        if somebody[b] and len(neighbours) and rng.random() < _NEIGHBOUR:
            _beside(depth[b], alone[int(rng.choice(neighbours))], rng)
        frame[b, 3] += _nearer(depth[b], rng)
        if rng.random() < _BLOCKED:
            _block(depth[b], rng)
    return Crops(depth, frame, joints, visible)


def moved(
    frame: NDArray[np.float32],
    joints: NDArray[np.float32],
    plane: NDArray[np.float64],
    size: float,
    shift: NDArray[np.int64],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Frame and joints of a scene that went through a linear map.

    Args:
        frame: (4,) crop frame (x, y, pixel, z_ref); x, y, pixel in units of rays.
        joints: (19, 3) metres, optical frame.
        plane: (2, 2) map of x and y, and of the crop's pixels about its centre.
        size: of z.
        shift: (2,) pixels (x, y), after the map.
        shape: (h, w) of the crop.

    Returns:
        (4,) frame and (19, 3) joints, in the order in which they were given.
    """
    centre = np.array([shape[1] - 1, shape[0] - 1]) / 2
    rays = plane / size
    pixel = frame[2] / size
    corner = rays @ (frame[:2] + frame[2] * centre) - pixel * (centre + shift)
    new = np.array([*corner, pixel, frame[3] * size], np.float32)
    return new, np.concatenate((joints[:, :2] @ plane.T, joints[:, 2:] * size), 1).astype(
        np.float32
    )


def _plane(rng: np.random.Generator) -> tuple[NDArray[np.float64], bool]:
    """A map of x and y, and whether it mirrors."""
    flip = bool(rng.random() < 0.5)
    plane = np.diag([-1.0 if flip else 1.0, 1.0])
    if rng.random() < _AS_IT_IS:
        return plane, flip
    roll = float(np.clip(rng.normal(0, _ROLL[0]), -_ROLL[1], _ROLL[1]))
    size, stretch = 1 + rng.uniform(-_SIZE, _SIZE), 1 + rng.uniform(-_STRETCH, _STRETCH)
    turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    return size * turn @ np.diag([math.sqrt(stretch), 1 / math.sqrt(stretch)]) @ plane, flip


def _warp(
    image: NDArray[np.int16], plane: NDArray[np.float64], shift: NDArray[np.int64], size: float
) -> NDArray[np.int16]:
    """The image through the map about its centre, then shifted; depth grows with ``size``."""
    h, w = image.shape
    centre = np.array([w - 1, h - 1]) / 2
    to = np.column_stack((plane, centre + shift - plane @ centre))
    missing = int(crops.MISSING)
    warped: NDArray[np.int16] = cv2.warpAffine(
        image,
        to,
        (w, h),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=missing,
    ).astype(np.int16, copy=False)
    if size != 1:
        known = warped != missing
        grown = warped[known].astype(np.float32) * size
        warped[known] = np.clip(np.rint(grown), -30000, 30000)
    return warped


def _nearer(image: NDArray[np.int16], rng: np.random.Generator) -> float:
    """A nearer or farther guess of the person's depth; returns how the reference moves, metres."""
    shift = int(rng.uniform(-_DEPTH_SHIFT, _DEPTH_SHIFT) * 1000)
    known = image != crops.MISSING
    image[known] = np.clip(image[known].astype(np.int32) - shift, -30000, 30000)
    return shift / 1000


def put_behind(
    image: NDArray[np.int16], other: NDArray[np.int16], rng: np.random.Generator
) -> None:
    """Fill what is missing of a crop with another, half a metre or more farther away, in place."""
    hole = (image == crops.MISSING) & (other != crops.MISSING)
    away = int(rng.uniform(500, 1800))
    image[hole] = np.clip(other[hole].astype(np.int32) + away, -30000, 30000)


def _beside(image: NDArray[np.int16], other: NDArray[np.int16], rng: np.random.Generator) -> None:
    """Somebody cut out of another crop, at this one's side: before or behind the person."""
    w = image.shape[1]
    away = int(rng.uniform(-500, 800))
    step = int(rng.integers(50, 110)) * (1 if rng.random() < 0.5 else -1)
    come = np.full_like(image, crops.MISSING)
    come[:, max(0, step) : w + min(0, step)] = other[:, max(0, -step) : w - max(0, step)]
    there = come != crops.MISSING
    depth = np.where(there, come.astype(np.int32) + away, 40000)
    mine = np.where(image == crops.MISSING, 35000, image.astype(np.int32))
    image[depth < mine] = np.clip(depth[depth < mine], -30000, 30000)


def _block(image: NDArray[np.int16], rng: np.random.Generator) -> None:
    """Something rectangular before the person, or nothing measured there."""
    h, w = image.shape
    height, width = (int(v) for v in rng.integers(15, 70, 2))
    y, x = int(rng.integers(0, h - height)), int(rng.integers(0, w - width))
    nearer = crops.MISSING if rng.random() < 0.4 else int(rng.uniform(-1100, -250))
    image[y : y + height, x : x + width] = nearer
