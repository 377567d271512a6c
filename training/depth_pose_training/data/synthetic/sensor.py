"""Depth sensors: geometry and noise.

Axial noise of structured light: Nguyen, Izadi, Lovell, "Modeling Kinect sensor noise for improved
3D reconstruction and tracking", 3DIMPVT 2012 (0.0012 + 0.0019 (z - 0.4)^2 m); its depth steps:
Khoshelham, Oude Elberink, "Accuracy and resolution of Kinect depth data", Sensors 2012.  Time of
flight: Fankhauser et al., "Kinect v2 for mobile robot navigation", ICAR 2015 (a few millimetres,
growing with range); flying pixels and multipath: Sarbolandi, Lefloch, Kolb, "Kinect range sensing:
structured-light versus time-of-flight Kinect", CVIU 2015.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_training.data.synthetic.config import NoiseConfig

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
#: Depth difference of neighbouring pixels at an edge, metres.
_EDGE_STEP = 0.08
#: Grid of the multipath model: pixels per cell, maximum distance in cells, number of samples.
_COARSE, _REACH, _BOUNCES = 8, 9, 16


def _edges(z: Depth, step: float) -> NDArray[np.bool_]:
    """Pixels at depth edges."""
    kernel = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(z, kernel) - cv2.erode(z, kernel)
    return np.asarray(spread > step)


def _displaced(z: Depth, rng: np.random.Generator, pixels: float) -> Depth:
    """Shift pixels at random: the ragged outlines of structured light."""
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
    """Connected patches that cover ``share`` of an image."""
    coarse = rng.normal(size=(max(2, shape[0] // 9), max(2, shape[1] // 9))).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(field > np.quantile(field, 1 - share))


def edge_faults(z: Depth, chance: Depth, step: float) -> NDArray[np.bool_]:
    """Pixels without a return of a time-of-flight sensor: depth edges and grazing surfaces.

    Args:
        z: (H, W) metres, 0 where there is nothing.
        chance: (H, W) uniform random numbers in [0, 1).
        step: tangent of the angle between neighbouring pixels' rays.
    """
    dy, dx = np.gradient(z)
    grazing = np.hypot(dx, dy) > 8 * step * z
    return np.asarray((_edges(z, 0.08) & (chance < 0.3)) | (grazing & (chance < 0.4)))


def multipath(z: Depth, step: float, albedo: float, rng: np.random.Generator) -> Depth:
    """Depth bias of a time-of-flight sensor by multipath interference.

    One bounce between Lambertian surfaces: a pixel at p receives direct light and light from points
    q around it.  The path of the latter is |q| + |q - p| instead of |p|; its share is the form
    factor of both, times the albedo, times the ratio of their illumination.  The sensor measures
    about the mean: concave corners appear up to some centimetres farther away, planes stay planes.

    Args:
        z: (H, W) metres, 0 where there is nothing.
        step: tangent of the angle between neighbouring pixels' rays.
        albedo: of all surfaces.
        rng: samples the points q.

    Returns:
        (H, W) metres to add, from 0 to 0.15.
    """
    h, w = z.shape
    size = (max(4, w // _COARSE), max(4, h // _COARSE))
    coarse = cv2.resize(z, size, interpolation=cv2.INTER_NEAREST).astype(np.float64)
    cell = step * w / size[0]
    ys, xs = np.indices(coarse.shape)
    x, y = (xs - size[0] / 2) * cell, (ys - size[1] / 2) * cell
    points = coarse[..., None] * np.stack((x, y, np.ones_like(x)), axis=-1)
    own = np.linalg.norm(points, axis=-1)
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    normals *= -np.sign((normals * points).sum(-1, keepdims=True))  # towards the camera
    excess, light = np.zeros(coarse.shape), np.ones(coarse.shape)
    cells = (2 * _REACH + 1) ** 2 / _BOUNCES  # per sample
    for _ in range(_BOUNCES):
        shift = tuple(int(v) for v in rng.integers(-_REACH, _REACH + 1, 2))
        q, facing, way = (np.roll(a, shift, (0, 1)) for a in (points, normals, own))
        between = q - points
        apart = np.linalg.norm(between, axis=-1)
        out = (normals * between).sum(-1).clip(0) * (-(facing * between).sum(-1)).clip(0)
        form = out * np.square(way * cell) * cells / (np.pi * np.square(np.square(apart) + 0.01))
        share = albedo * np.square(own / np.maximum(way, 0.1)) * np.minimum(form, 0.5)
        row, column = ys - shift[0], xs - shift[1]
        inside = (row >= 0) & (row < size[1]) & (column >= 0) & (column < size[0])
        share *= inside & (q[..., 2] > 0) & (coarse > 0)
        excess += share * (way + apart - own)
        light += share
    bias = np.clip(excess / light, 0, 0.15).astype(np.float32)
    return np.asarray(cv2.resize(cv2.blur(bias, (3, 3)), (w, h)), dtype=np.float32)


def measure(
    z: Depth, kind: str, step: float, rng: np.random.Generator, config: NoiseConfig | None = None
) -> Depth:
    """Measured depth image of a sensor for a true one.

    Args:
        z: (H, W) float32 metres, 0 where there is nothing.
        kind: "tof" or "structured".
        step: tangent of the angle between neighbouring pixels' rays (1 / focal length).
        rng: random generator.
        config: see ``generator.yaml``.

    Returns:
        (H, W) float32 metres, whole millimetres, 0 where missing.
    """
    config = config or NoiseConfig()
    out = z.copy()
    strength = rng.uniform(*config.strength)
    structured = kind == "structured"
    true_edges = _edges(z, _EDGE_STEP)
    if structured:
        out = _displaced(out, rng, 0.7 * strength)
        sigma = 0.0012 + 0.0019 * np.square(np.maximum(out - 0.4, 0))
    else:
        if rng.random() < config.multipath:
            out = out + multipath(z, step, rng.uniform(*config.multipath_albedo), rng)
        if rng.random() < 0.5:
            out = _displaced(out, rng, 0.25 * strength)
        sigma = 0.001 + 0.0006 * np.square(out)
        edge = _edges(out, _EDGE_STEP)
        flying = edge & _random_mask(z, config.flying * strength, rng) & (out > 0)
        out = np.where(flying, cv2.blur(out, (3, 3)), out)
    noise = rng.standard_normal(z.shape, dtype=np.float32)
    out = out + noise * (sigma * np.float32(strength))
    missing = z <= 0
    # Depth edges drop out; structured light casts a shadow to one side of the nearer surface.
    missing |= true_edges & _random_mask(z, rng.uniform(*config.edge_dropout), rng)
    if structured and rng.random() < config.shadow:
        reach = int(rng.integers(2, 7))
        shifted = np.roll(z, reach, axis=1)
        missing |= (shifted > 0) & (z - shifted > 0.15) & (np.arange(z.shape[1]) >= reach)
    # Grazing surfaces return little light.
    dy, dx = np.gradient(z)
    steep = dx * dx + dy * dy > np.square(rng.uniform(4, 12) * step * z)  # 76 to 85 degrees
    missing |= steep & _random_mask(z, rng.uniform(*config.grazing_dropout), rng)
    # Patches without return: dark cloth, hair, glass.
    if rng.random() < config.blotches:
        missing |= _blotches(z.shape, rng, rng.uniform(*config.blotch_share))
    missing |= _random_mask(z, rng.choice(config.speckle), rng)
    if structured:
        # Disparity steps: 1/8 pixel at a 75 mm baseline and f = 575 px.
        quantum = np.square(out) / (575 * 0.075 * 8)
        out = np.where(quantum > 0, np.round(out / np.maximum(quantum, 1e-4)) * quantum, out)
    out = np.where(missing, 0, np.round(out * 1000) / 1000)
    if rng.random() < config.median:
        out = cv2.medianBlur(out.astype(np.float32), 3)
    return out.astype(np.float32)


def _random_mask(z: Depth, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """True at a random share of the pixels."""
    return np.asarray(rng.random(z.shape, dtype=np.float32) < share)
