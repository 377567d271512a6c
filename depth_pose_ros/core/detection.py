"""Detection of people in a whole depth image."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.nms import nms

#: Detections nearer to each other than this, metres, are one person.
SAME_PERSON = 0.30
#: The crop's reference depth lies on the body's surface, this far in front of the spine, metres.
SPINE_TO_SURFACE = 0.10
#: Minimum score of a detection.  It is low because the pose network's score counts, too.
MIN_SCORE = 0.1
_MIN_DEPTH = 0.3  # metres


@dataclass(frozen=True)
class Detection:
    """One detected person.

    Attributes:
        centre: (3,) metres, optical frame: the middle of the spine, moved towards the camera to the
            body's surface; input of :func:`depth_pose_ros.core.crops.frame_around`.
        score: in [0, 1].
    """

    centre: NDArray[np.float64]
    score: float


def resize_depth(
    depth: NDArray[np.float32], camera: Camera, focal: float, multiple: int
) -> tuple[NDArray[np.float32], Camera]:
    """Resample a depth image to a focal length and pad it to a multiple of pixels.

    Args:
        depth: (H, W) float32 metres, 0 or NaN where missing.

    Returns:
        (h, w) float32 metres, 0 where missing, and its intrinsics.
    """
    sx, sy = focal / camera.fx, focal / camera.fy
    w, h = max(1, round(camera.width * sx)), max(1, round(camera.height * sy))
    # Nearest neighbour at the centre of each new pixel: interpolation would invent surfaces.
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


def decode_detections(
    output: DetectorOutput,
    camera: Camera,
    stride: int,
    min_score: float,
    max_detections: int,
    max_distance: float = math.inf,
) -> list[Detection]:
    """Local maxima of the detector's heat map, highest score first, after NMS.

    Args:
        output: maps of a batch of one.
        camera: intrinsics of the network's input.
        stride: input pixels per cell.
        min_score: minimum score.
        max_detections: maximum number of detections.
        max_distance: maximum depth of the middle of the spine, metres.
    """
    heat = output.heat[0].sigmoid()
    peak = torch.nn.functional.max_pool2d(heat[None, None], 3, 1, 1)[0, 0]
    rows, columns = torch.nonzero((heat == peak) & (heat >= min_score), as_tuple=True)
    order = heat[rows, columns].argsort(descending=True)[: 4 * max_detections]
    found: list[Detection] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        z = float(output.depth[0, row, column])
        if not _MIN_DEPTH <= z <= max_distance:
            continue
        u = column * stride + float(output.offset[0, 0, row, column])
        v = row * stride + float(output.offset[0, 1, row, column])
        surface = max(z - SPINE_TO_SURFACE, 0.25)
        centre = camera.back_project((u, v), z) * (surface / z)
        found.append(Detection(centre, float(heat[row, column])))

    def same(kept: int, other: int) -> bool:
        return bool(np.linalg.norm(found[kept].centre - found[other].centre) <= SAME_PERSON)

    return [found[i] for i in nms(range(len(found)), same)][:max_detections]


@torch.no_grad()
def detect(
    detector: PersonDetector,
    depth: NDArray[np.float32],
    camera: Camera,
    min_score: float = MIN_SCORE,
    max_detections: int = 6,
    run: Callable[[NDArray[np.float32]], DetectorOutput] | None = None,
    max_distance: float = math.inf,
) -> list[Detection]:
    """Detect people in one depth image, highest score first.

    Args:
        detector: the network.
        depth: (H, W) metres, 0 or NaN where missing.
        camera: its intrinsics.
        min_score: minimum score.
        max_detections: maximum number of detections.
        run: compiled detector to use instead, if any: (h, w) metres -> maps on the CPU.
        max_distance: as of :func:`decode_detections`.
    """
    small, small_camera = resize_depth(depth, camera, detector.config.focal, detector.multiple)
    if run is not None:
        output = run(small)
    else:
        device = next(detector.parameters()).device
        output = detector(torch.from_numpy(small)[None].to(device))
        output = DetectorOutput(*(t.float().cpu() for t in output))
    return decode_detections(
        output, small_camera, detector.stride, min_score, max_detections, max_distance
    )


def combine_scores(detection: float, crop: float) -> float:
    """Person score from the detector's score and the person classifier's: mean of the log-odds.

    Args:
        detection, crop: scores in [0, 1].

    Returns:
        In [0, 1]; their own value where both are equal.
    """
    yes, no = math.sqrt(detection * crop), math.sqrt((1 - detection) * (1 - crop))
    return yes / (yes + no) if yes + no > 0 else 0.5


def min_crop_score(detection: float, person: float) -> float:
    """The person classifier's score for which :func:`combine_scores` gives ``person``."""
    yes, no = person**2 * (1 - detection), (1 - person) ** 2 * detection
    return yes / (yes + no) if yes + no > 0 else 0.0
