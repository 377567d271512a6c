"""Rendered training samples: person-centred crops, and whole frames for the person detector."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import FLIP_INDEX, NUM_JOINTS
from depth_pose_training.data.shards import (
    HIDDEN,
    OUTSIDE,
    VISIBLE,
    CropSample,
    FrameSample,
    enough_visible,
)
from depth_pose_training.data.synthetic.bodies import Body, BodyModel
from depth_pose_training.data.synthetic.clothes import ClothingSampler
from depth_pose_training.data.synthetic.config import GeneratorConfig
from depth_pose_training.data.synthetic.poses import sample as sample_figure
from depth_pose_training.data.synthetic.retarget import Details
from depth_pose_training.data.synthetic.scene import Person, Scene, sample_views
from depth_pose_training.data.synthetic.sensor import measure

Array = NDArray[np.float64]
#: Maximum depth of a joint below the surface, metres.
_MAX_JOINT_DEPTH = 0.22
#: Maximum range of the sensors, metres.
_MAX_RANGE = 12.0
#: Focal lengths of whole frames, pixels: the low resolution of the detector.
FRAME_FOCAL = (95.0, 125.0)


def _visibility(person: Person, index: int, scene: Scene, camera: Camera) -> NDArray[np.uint8]:
    uv = camera.project(person.joints)
    rays = person.joints / person.joints[:, 2:]
    z, mesh = scene.cast(rays[:, None, 0], rays[:, None, 1])
    below = person.joints[:, 2] - z[:, 0]
    seen = (mesh[:, 0] == index) & (below < _MAX_JOINT_DEPTH)
    # A surface far in front of the joint is another part of the body that hides it.
    out = np.where(seen, VISIBLE, HIDDEN).astype(np.uint8)
    inside = (
        (uv[:, 0] >= 0) & (uv[:, 0] < camera.width) & (uv[:, 1] >= 0) & (uv[:, 1] < camera.height)
    )
    out[~inside | (person.joints[:, 2] < 0.3)] = OUTSIDE
    return out


def _visibilities(scene: Scene) -> NDArray[np.uint8]:
    """(P, 19) of all people, as :attr:`FrameSample.visible`."""
    camera = scene.sensor.camera
    rows = [_visibility(p, i, scene, camera) for i, p in enumerate(scene.people)]
    return np.array(rows, dtype=np.uint8).reshape(-1, NUM_JOINTS)


def _render(
    scene: Scene, camera: Camera, columns: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """(H, W) true depth in metres, 0 beyond the range, and mesh indices at a camera's pixels."""
    z, mesh = scene.cast(
        *np.meshgrid((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
    )
    z[z > _MAX_RANGE] = 0
    return z, mesh


def _crop_depth(
    scene: Scene,
    frame: crops.CropFrame,
    keep: list[int] | None,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(216, 176) measured depth in metres.

    Rendered at the sensor pixels that :func:`depth_pose_ros.core.crops.cut` samples, so that images
    and labels agree to a fraction of a pixel.
    """
    camera = scene.sensor.camera
    ray_x = frame.ray_x + frame.step * np.arange(crops.WIDTH)
    ray_y = frame.ray_y + frame.step * np.arange(crops.HEIGHT)
    u, column = np.unique(np.rint(ray_x * camera.fx + camera.cx), return_inverse=True)
    v, row = np.unique(np.rint(ray_y * camera.fy + camera.cy), return_inverse=True)
    z, mesh = _render(scene, camera, u, v)
    z[:, (u < 0) | (u > camera.width - 1)] = 0
    z[(v < 0) | (v > camera.height - 1)] = 0
    out = measure(z, scene.sensor.kind, max(frame.step, 1 / camera.fx), rng, config.noise)
    if keep is not None:
        out[~_segmentation_mask(mesh, keep, rng)] = 0
    return np.ascontiguousarray(out[np.ix_(row, column)])


def _segmentation_mask(
    mesh: NDArray[np.int32], keep: list[int], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Mask of some meshes with errors of a segmentation: sometimes a pixel too wide or narrow."""
    mask: NDArray[Any] = np.isin(mesh, keep).astype(np.uint8)
    kind = rng.integers(4)
    if kind == 0:
        mask = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    elif kind == 1:
        mask = cv2.erode(mask, np.ones((2, 2), np.uint8))
    return np.asarray(mask > 0)


def _crop(
    scene: Scene,
    i: int,
    visible: NDArray[np.uint8],
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> CropSample:
    person = scene.people[i]
    frame = config.crops.sample(person.joints, rng)
    keep: list[int] | None = None
    if rng.random() < config.crops.background_removed:
        keep = [i] if rng.random() < 0.6 else list(range(len(scene.people)))
    z = _crop_depth(scene, frame, keep, config, rng)
    return CropSample(
        crops.relative_millimetres(z, frame),
        frame.as_array(),
        person.joints.astype(np.float32),
        visible,
        person.mode,
        keep is not None,
    )


def _frame(
    scene: Scene,
    visible: NDArray[np.uint8],
    config: GeneratorConfig,
    rng: np.random.Generator,
    focal: tuple[float, float] = FRAME_FOCAL,
) -> FrameSample:
    """The whole image, scaled to a random focal length within ``focal`` pixels."""
    full = scene.sensor.camera
    scale = rng.uniform(*focal) / full.fx
    camera = Camera(
        full.fx * scale,
        full.fy * scale,
        (full.cx + 0.5) * scale - 0.5,
        (full.cy + 0.5) * scale - 0.5,
        int(full.width * scale),
        int(full.height * scale),
    )
    z, mesh = _render(scene, camera, np.arange(camera.width), np.arange(camera.height))
    depth = measure(z, scene.sensor.kind, 1 / camera.fx, rng, config.noise)
    if rng.random() < config.crops.frame_background_removed:
        depth[~_segmentation_mask(mesh, list(range(len(scene.people))), rng)] = 0
    joints = np.array([p.joints for p in scene.people], dtype=np.float32).reshape(-1, NUM_JOINTS, 3)
    return FrameSample(depth, camera, joints, visible)


class Generator:
    """Renders endless samples of random scenes.

    Args:
        clips: motion-capture clips to draw poses from, each (T, 19, 3), z up.
        pool: number of bodies that are posed in one batch.
        config: see ``generator.yaml``.
    """

    def __init__(
        self,
        clips: list[NDArray[np.float32]],
        pool: int = 24,
        config: GeneratorConfig | None = None,
    ) -> None:
        self.config = config or GeneratorConfig()
        if not clips and self.config.people.mocap > 0:
            raise ValueError("no motion-capture clips to draw poses from")
        self._clips = clips
        # The probability of a clip is proportional to the square root of its length.
        weight = np.sqrt([len(c) for c in clips])
        self._weights = weight / weight.sum()
        self._pool = pool
        self._model = BodyModel()
        self._clothing = ClothingSampler(self._model, self.config.clothes)

    def _figure(self, rng: np.random.Generator) -> tuple[Array, str]:
        people = self.config.people
        if rng.random() < people.mocap:
            clip = self._clips[int(rng.choice(len(self._clips), p=self._weights))]
            figure, mode = clip[int(rng.integers(len(clip)))].astype(np.float64), "mocap"
            if rng.random() < 0.5:
                figure = figure[list(FLIP_INDEX)] * (-1.0, 1.0, 1.0)
            return figure, mode
        mode = rng.choice(list(people.modes), p=list(people.modes.values()))
        return sample_figure(rng, str(mode))

    def _bodies(self, rng: np.random.Generator) -> Iterator[tuple[Body, str]]:
        while True:
            figures, modes = zip(*(self._figure(rng) for _ in range(self._pool)), strict=True)
            shapes = self._model.sample_shapes(self._pool, rng, self.config.people.stature)
            posed = self._model.pose(np.array(figures), shapes, Details.sample(self._pool, rng))
            yield from zip(posed, modes, strict=True)

    def scenes(self, seed: int | Sequence[int]) -> Iterator[tuple[Scene, np.random.Generator]]:
        """All views of random scenes, each with the random generator; the same seed gives the same
        views."""
        rng = np.random.default_rng(seed)
        bodies = self._bodies(rng)
        number = self.config.people.number
        while True:
            n = int(rng.choice(len(number), p=number))
            for scene in sample_views(list(islice(bodies, n)), self._clothing, self.config, rng):
                yield scene, rng

    def stream(self, seed: int | Sequence[int]) -> Iterator[tuple[list[CropSample], FrameSample]]:
        """Crops and whole frame of each view; the same seed gives the same samples."""
        for scene, rng in self.scenes(seed):
            visible = _visibilities(scene)
            made = [
                _crop(scene, i, visible[i], self.config, rng)
                for i, person in enumerate(scene.people)
                if enough_visible(person.joints, visible[i])
            ]
            yield made, _frame(scene, visible, self.config, rng)

    def frames(
        self, seed: int | Sequence[int], focal: tuple[float, float]
    ) -> Iterator[FrameSample]:
        """Whole frames only, with focal lengths within ``focal`` pixels."""
        for scene, rng in self.scenes(seed):
            yield _frame(scene, _visibilities(scene), self.config, rng, focal)
