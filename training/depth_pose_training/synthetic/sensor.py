"""Depth sensors: geometry and noise.

Axial noise of structured light: Nguyen, Izadi, Lovell, "Modeling Kinect sensor noise for improved
3D reconstruction and tracking", 3DIMPVT 2012 (0.0012 + 0.0019 (z - 0.4)^2 m).  Time of flight:
Fankhauser et al., "Kinect v2 for mobile robot navigation", ICAR 2015 (a few millimetres, growing
with range; flying pixels at depth edges).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.camera import Camera

Depth = NDArray[np.float32]


@dataclass(frozen=True)
class Sensor:
    """A depth camera: intrinsics and how it measures ("tof" or "structured")."""

    name: str
    camera: Camera
    kind: str


SENSORS = (
    Sensor("kinect_v2", Camera(365, 365, 255.5, 211.5, 512, 424), "tof"),
    Sensor("azure_nfov", Camera(504, 504, 319.5, 287.5, 640, 576), "tof"),
    Sensor("kinect_v1", Camera(285.6, 285.6, 159.5, 119.5, 320, 240), "structured"),
    Sensor("kinect_v1_vga", Camera(571, 571, 319.5, 239.5, 640, 480), "structured"),
    Sensor("realsense", Camera(385, 385, 319.5, 239.5, 640, 480), "structured"),
)
WEIGHTS = (0.4, 0.15, 0.2, 0.1, 0.15)


def _edges(z: Depth, step: float) -> NDArray[np.bool_]:
    """Pixels beside a depth jump."""
    kernel = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(z, kernel) - cv2.erode(z, kernel)
    return np.asarray(spread > step)


def _displaced(z: Depth, rng: np.random.Generator, pixels: float) -> Depth:
    """Pixels read from a neighbour: the ragged outline of structured light."""
    h, w = z.shape
    size = (max(2, int(w / 2.5)), max(2, int(h / 2.5)))
    shift = [
        cv2.resize(rng.normal(0, pixels, size[::-1]).astype(np.float32), (w, h)) for _ in range(2)
    ]
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    moved = cv2.remap(
        z, x + shift[0], y + shift[1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, dtype=np.float32)


def _blotches(shape: tuple[int, int], rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """Connected patches that cover about ``share`` of an image."""
    coarse = rng.normal(size=(max(2, shape[0] // 9), max(2, shape[1] // 9))).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(field > np.quantile(field, 1 - share))


def edge_faults(z: Depth, chance: Depth, step: float) -> NDArray[np.bool_]:
    """Where a time-of-flight sensor typically returns nothing: depth edges and grazing surfaces.

    Args:
        z: (H, W) metres, 0 where there is nothing.
        chance: (H, W) uniform random numbers in [0, 1).
        step: tangent of the angle between neighbouring pixels' rays.
    """
    dy, dx = np.gradient(z)
    grazing = np.hypot(dx, dy) > 8 * step * z
    return np.asarray((_edges(z, 0.08) & (chance < 0.3)) | (grazing & (chance < 0.4)))


def measure(z: Depth, kind: str, step: float, rng: np.random.Generator) -> Depth:
    """What a sensor reports for a true depth image.

    Args:
        z: (H, W) float32 metres, 0 where there is nothing.
        kind: "tof" or "structured".
        step: tangent of the angle between neighbouring pixels' rays (1 / focal length).

    Returns:
        (H, W) float32 metres, whole millimetres, 0 where missing.
    """
    out = z.copy()
    strength = rng.uniform(0.3, 1.6)
    structured = kind == "structured"
    if structured:
        out = _displaced(out, rng, 0.7 * strength)
        sigma = 0.0012 + 0.0019 * np.square(np.maximum(out - 0.4, 0))
    else:
        if rng.random() < 0.5:
            out = _displaced(out, rng, 0.25 * strength)
        sigma = 0.001 + 0.0006 * np.square(out)
        edge = _edges(out, 0.08)
        flying = edge & (rng.random(z.shape) < 0.35 * strength) & (out > 0)
        mixed = cv2.blur(out, (3, 3))
        out = np.where(flying, mixed, out)
    out = out + rng.normal(size=z.shape).astype(np.float32) * sigma * strength
    missing = z <= 0
    # Depth edges drop out; structured light casts a shadow to one side of the nearer surface.
    missing |= _edges(z, 0.08) & (rng.random(z.shape) < rng.uniform(0.05, 0.6))
    if structured and rng.random() < 0.6:
        reach = int(rng.integers(2, 7))
        shifted = np.roll(z, reach, axis=1)
        missing |= (shifted > 0) & (z - shifted > 0.15) & (np.arange(z.shape[1]) >= reach)
    # Grazing surfaces return little light.
    dy, dx = np.gradient(z)
    steep = np.hypot(dx, dy) > rng.uniform(4, 12) * step * z  # 76 to 85 degrees from the normal
    missing |= steep & (rng.random(z.shape) < rng.uniform(0.0, 0.7))
    # Dark cloth, hair, glass: patches without return.
    if rng.random() < 0.4:
        missing |= _blotches(z.shape, rng, rng.uniform(0.002, 0.05))
    missing |= rng.random(z.shape) < rng.choice((0.0, 0.002, 0.02))
    if structured:
        # Disparity steps: 1/8 pixel at a 75 mm baseline and f = 575 px.
        quantum = np.square(out) / (575 * 0.075 * 8)
        out = np.where(quantum > 0, np.round(out / np.maximum(quantum, 1e-4)) * quantum, out)
    out = np.where(missing, 0, np.round(out * 1000) / 1000)
    if rng.random() < 0.2:
        out = cv2.medianBlur(out.astype(np.float32), 3)
    return out.astype(np.float32)
