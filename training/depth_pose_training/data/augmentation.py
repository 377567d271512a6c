"""Augmentation of crops: body shape, camera pose, background, a second person, occlusion.

Geometric augmentation is a linear map of the scene in three dimensions.  Crop frame and joints go
through the same map, so that projections stay exact.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.skeleton import FLIP_INDEX

_FLIP_INDEX = np.array(FLIP_INDEX)
_MAX_SHIFT = 12  #: pixels
_MAX_DEPTH_SHIFT = 0.08  #: metres, of the reference depth
_UNCHANGED = 0.3  #: share of crops that keep their shape
_ROLL = 0.12, 0.25  #: of the camera about its axis: standard deviation and limit, radians
_MAX_SCALE = 0.13  #: relative, of the body
_MAX_STRETCH = 0.1  #: relative, of the body's width
_OCCLUDED = 0.15  #: share of crops with a rectangular occlusion
_NO_BACKGROUND = 0.55  #: share of missing pixels above which a crop has no background
_BACKGROUND = 0.35  #: share of crops without background that get one
_SECOND_PERSON = 0.1  #: share of crops that get a second person


@dataclass(frozen=True)
class CropArrays:
    """Crops as in shards.

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


def augment(given: CropArrays, rng: np.random.Generator) -> CropArrays:
    """Augment every crop of a batch: scale, roll, flip, shift, background, person, occlusion.

    Backgrounds and second people come from the other crops of the batch.  Negative crops (without
    joints) get neither.
    """
    depth = np.empty_like(given.depth)
    frame, joints = given.frame.copy(), given.joints.copy()
    visible = given.visible.copy()
    positive = np.asarray((given.joints[..., 2] > 0).any(1))
    missing = (given.depth == crops.MISSING).mean((1, 2))
    no_background: NDArray[np.bool_] = positive & (missing > _NO_BACKGROUND)
    for b in range(len(depth)):
        plane, flip = _sample_plane_map(rng)
        scale = math.sqrt(abs(np.linalg.det(plane)))
        shift = rng.integers(-_MAX_SHIFT, _MAX_SHIFT + 1, 2)
        depth[b] = _warp(given.depth[b], plane, shift, scale)
        frame[b], joints[b] = map_labels(frame[b], joints[b], plane, scale, shift, depth.shape[1:])
        if flip:
            joints[b], visible[b] = joints[b][_FLIP_INDEX], visible[b][_FLIP_INDEX]
    # Partners are warped, but have no background and no second person yet.
    warped = depth.copy()
    for b in range(len(depth)):
        others = np.delete(np.arange(len(depth)), b)
        if no_background[b] and len(others) and rng.random() < _BACKGROUND:
            fill_background(depth[b], warped[int(rng.choice(others))], rng)
        people = others[no_background[others]]
        if positive[b] and len(people) and rng.random() < _SECOND_PERSON:
            _add_second_person(depth[b], warped[int(rng.choice(people))], rng)
        frame[b, 3] += _shift_depth(depth[b], rng)
        if rng.random() < _OCCLUDED:
            _occlude(depth[b], rng)
    return CropArrays(depth, frame, joints, visible)


def map_labels(
    frame: NDArray[np.float32],
    joints: NDArray[np.float32],
    plane: NDArray[np.float64],
    scale: float,
    shift: NDArray[np.int64],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Apply a linear map of the scene to crop frame and joints.

    Args:
        frame: (4,) crop frame (x, y, pixel, z_ref); x, y, pixel in units of rays.
        joints: (19, 3) metres, optical frame.
        plane: (2, 2) map of x and y, and of the crop's pixels about its centre.
        scale: factor of z.
        shift: (2,) pixels (x, y), after the map.
        shape: (h, w) of the crop.

    Returns:
        (4,) frame and (19, 3) joints.
    """
    centre = np.array([shape[1] - 1, shape[0] - 1]) / 2
    rays = plane / scale
    pixel = frame[2] / scale
    corner = rays @ (frame[:2] + frame[2] * centre) - pixel * (centre + shift)
    new = np.array([*corner, pixel, frame[3] * scale], np.float32)
    return new, np.concatenate((joints[:, :2] @ plane.T, joints[:, 2:] * scale), 1).astype(
        np.float32
    )


def _sample_plane_map(rng: np.random.Generator) -> tuple[NDArray[np.float64], bool]:
    """(2, 2) map of x and y, and whether it contains a flip."""
    flip = bool(rng.random() < 0.5)
    plane = np.diag([-1.0 if flip else 1.0, 1.0])
    if rng.random() < _UNCHANGED:
        return plane, flip
    roll = float(np.clip(rng.normal(0, _ROLL[0]), -_ROLL[1], _ROLL[1]))
    scale = 1 + rng.uniform(-_MAX_SCALE, _MAX_SCALE)
    stretch = 1 + rng.uniform(-_MAX_STRETCH, _MAX_STRETCH)
    rotation = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    return scale * rotation @ np.diag([math.sqrt(stretch), 1 / math.sqrt(stretch)]) @ plane, flip


def _warp(
    image: NDArray[np.int16], plane: NDArray[np.float64], shift: NDArray[np.int64], scale: float
) -> NDArray[np.int16]:
    """Warp the image about its centre, shift it, and multiply relative depth by ``scale``."""
    h, w = image.shape
    centre = np.array([w - 1, h - 1]) / 2
    matrix = np.column_stack((plane, centre + shift - plane @ centre))
    missing = int(crops.MISSING)
    warped: NDArray[np.int16] = cv2.warpAffine(
        image,
        matrix,
        (w, h),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=missing,
    ).astype(np.int16, copy=False)
    if scale != 1:
        known = warped != missing
        scaled = warped[known].astype(np.float32) * scale
        warped[known] = np.clip(np.rint(scaled), -30000, 30000)
    return warped


def _shift_depth(image: NDArray[np.int16], rng: np.random.Generator) -> float:
    """Shift the reference depth at random, in place; returns the shift in metres."""
    shift = int(rng.uniform(-_MAX_DEPTH_SHIFT, _MAX_DEPTH_SHIFT) * 1000)
    known = image != crops.MISSING
    image[known] = np.clip(image[known].astype(np.int32) - shift, -30000, 30000)
    return shift / 1000


def fill_background(
    image: NDArray[np.int16], other: NDArray[np.int16], rng: np.random.Generator
) -> None:
    """Fill missing pixels with another crop, 0.5 to 1.8 m farther away, in place."""
    hole = (image == crops.MISSING) & (other != crops.MISSING)
    distance = int(rng.uniform(500, 1800))
    image[hole] = np.clip(other[hole].astype(np.int32) + distance, -30000, 30000)


def _add_second_person(
    image: NDArray[np.int16], other: NDArray[np.int16], rng: np.random.Generator
) -> None:
    """Add the person of another crop at the side of this one, in front or behind, in place."""
    w = image.shape[1]
    distance = int(rng.uniform(-500, 800))
    step = int(rng.integers(50, 110)) * (1 if rng.random() < 0.5 else -1)
    shifted = np.full_like(image, crops.MISSING)
    shifted[:, max(0, step) : w + min(0, step)] = other[:, max(0, -step) : w - max(0, step)]
    depth = np.where(shifted != crops.MISSING, shifted.astype(np.int32) + distance, 40000)
    own = np.where(image == crops.MISSING, 35000, image.astype(np.int32))
    image[depth < own] = np.clip(depth[depth < own], -30000, 30000)


def _occlude(image: NDArray[np.int16], rng: np.random.Generator) -> None:
    """Put a rectangle in front of the person, or remove the depth there, in place."""
    h, w = image.shape
    height, width = (int(v) for v in rng.integers(15, 70, 2))
    y, x = int(rng.integers(0, h - height)), int(rng.integers(0, w - width))
    value = crops.MISSING if rng.random() < 0.4 else int(rng.uniform(-1100, -250))
    image[y : y + height, x : x + width] = value
