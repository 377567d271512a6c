"""Where people are in a depth image."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.skeleton import EDGE_CHILDREN, EDGE_PARENTS

#: Two finds nearer to each other than this, metres, are one person.
SAME_PERSON = 0.30
#: The crop's reference depth lies on the body's surface, this far in front of the spine, metres.
SPINE_TO_SURFACE = 0.10
_NEAREST = 0.3  # metres: in the lens
#: Lowest score of a find that is worth a closer look: low, because the pose network has a say too.
LEAST_FIND = 0.1
#: Two poses whose joints are nearer to each other than this, metres, in the median, are one person.
SAME_POSE = 0.30
#: A pose whose joints are nearer to another's bones than this, metres, in the median, is of the
#: same body: two bodies do not go through each other.
SAME_BODY = 0.12


@dataclass(frozen=True)
class Detection:
    """One person found.

    Attributes:
        centre: (3,) metres, optical frame: the middle of the spine, brought forward to the body's
            surface; what :func:`depth_pose_ros.core.crops.frame_around` takes.
        score: in [0, 1].
    """

    centre: NDArray[np.float64]
    score: float


def shrink(
    depth: NDArray[np.float32], camera: Camera, focal: float, multiple: int
) -> tuple[NDArray[np.float32], Camera]:
    """Resample an image to a focal length, padded with missing depth to a multiple of pixels.

    Args:
        depth: (H, W) float32 metres, 0 or NaN where missing.

    Returns:
        (h, w) float32 metres, 0 where missing, and its intrinsics.
    """
    sx, sy = focal / camera.fx, focal / camera.fy
    w, h = max(1, round(camera.width * sx)), max(1, round(camera.height * sy))
    # Nearest neighbour, reading the pixel in the middle of each new one: no invented surfaces.
    small = cv2.resize(depth, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
    padded = np.zeros((-(-h // multiple) * multiple, -(-w // multiple) * multiple), np.float32)
    padded[:h, :w] = np.where(small > 0, small, 0)
    sx, sy = w / camera.width, h / camera.height
    return padded, Camera(
        camera.fx * sx,
        camera.fy * sy,
        (camera.cx + 0.5) * sx - 0.5,
        (camera.cy + 0.5) * sy - 0.5,
        padded.shape[1],
        padded.shape[0],
    )


def pick(
    output: DetectorOutput,
    camera: Camera,
    stride: int,
    threshold: float,
    most: int,
    farthest: float = math.inf,
) -> list[Detection]:
    """People from the detector's maps of one image, surest first.

    Args:
        output: maps of a batch of one.
        camera: intrinsics of the network's input.
        stride: input pixels per cell.
        threshold: lowest score.
        most: how many people at the most.
        farthest: whose spine's middle is at more than this depth, metres, is left out.
    """
    heat = output.heat[0].sigmoid()
    peak = torch.nn.functional.max_pool2d(heat[None, None], 3, 1, 1)[0, 0]
    rows, columns = torch.nonzero((heat == peak) & (heat >= threshold), as_tuple=True)
    order = heat[rows, columns].argsort(descending=True)[: 4 * most]
    found: list[Detection] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        z = float(output.depth[0, row, column])
        if not _NEAREST <= z <= farthest:
            continue
        u = column * stride + float(output.offset[0, 0, row, column])
        v = row * stride + float(output.offset[0, 1, row, column])
        surface = max(z - SPINE_TO_SURFACE, 0.25)
        centre = camera.back_project((u, v), z)
        centre *= surface / z
        if all(np.linalg.norm(centre - other.centre) > SAME_PERSON for other in found):
            found.append(Detection(centre, float(heat[row, column])))
        if len(found) == most:
            break
    return found


@torch.no_grad()
def find(
    detector: PersonDetector,
    depth: NDArray[np.float32],
    camera: Camera,
    threshold: float = LEAST_FIND,
    most: int = 6,
    run: Callable[[NDArray[np.float32]], DetectorOutput] | None = None,
    farthest: float = math.inf,
) -> list[Detection]:
    """People in one depth image, surest first.

    Args:
        detector: the network.
        depth: (H, W) metres, 0 or NaN where missing.
        camera: its intrinsics.
        threshold: lowest score.
        most: how many people at the most.
        run: another program for the network, if any: (h, w) metres -> maps on the CPU.
        farthest: as of :func:`pick`.
    """
    small, small_camera = shrink(depth, camera, detector.config.focal, detector.multiple)
    if run is not None:
        output = run(small)
    else:
        device = next(detector.parameters()).device
        output = detector(torch.from_numpy(small)[None].to(device))
        output = DetectorOutput(*(t.float().cpu() for t in output))
    return pick(output, small_camera, detector.stride, threshold, most, farthest)


def person_score(find: float, pose: float) -> float:
    """That somebody is there, by the detector and by the pose network together.

    The geometric mean of their odds.  A network that takes a chair for a person from afar rarely
    agrees with one that looks for knees in it.

    Args:
        find, pose: scores in [0, 1].

    Returns:
        In [0, 1]; their own where both are equal.
    """
    yes, no = math.sqrt(find * pose), math.sqrt((1 - find) * (1 - pose))
    return yes / (yes + no) if yes + no > 0 else 0.5


def least_pose_score(find: float, person: float) -> float:
    """Which pose's score makes :func:`person_score` just as much as ``person``."""
    yes, no = person**2 * (1 - find), (1 - person) ** 2 * find
    return yes / (yes + no) if yes + no > 0 else 0.0


def distinct(joints: NDArray[np.floating], scores: NDArray[np.floating]) -> list[int]:
    """Which poses are people of their own, surest first.

    The others are a surer pose again: a person found twice (with the same joints, or with, say, the
    legs taken for a body), or a pose that slipped onto its neighbour.

    Args:
        joints: (N, 19, 3) metres.
        scores: (N,), the surer of two poses stays.
    """
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        others = joints[kept]
        apart = np.linalg.norm(others - joints[i], axis=-1)
        if (np.median(apart, axis=1) > SAME_POSE).all() and (
            np.median(from_bones(joints[i], others), axis=1) > SAME_BODY
        ).all():
            kept.append(i)
    return kept


def from_bones(joints: NDArray[np.floating], bodies: NDArray[np.floating]) -> NDArray[np.floating]:
    """How far each joint of one pose is from the nearest bone of others.

    Args:
        joints: (19, 3) metres.
        bodies: (N, 19, 3) metres.

    Returns:
        (N, 19) metres.
    """
    start = bodies[:, None, EDGE_PARENTS]
    bone = bodies[:, None, EDGE_CHILDREN] - start
    along = joints[None, :, None] - start  # (N, 19, 18, 3)
    length = np.maximum((bone * bone).sum(-1), 1e-9)
    share = np.clip((along * bone).sum(-1) / length, 0, 1)
    nearest: NDArray[np.floating] = np.linalg.norm(along - share[..., None] * bone, axis=-1).min(2)
    return nearest
