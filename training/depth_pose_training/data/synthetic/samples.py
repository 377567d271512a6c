"""What the networks learn from: person-centred crops, and whole frames for the person detector."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import FLIP_INDEX, NUM_JOINTS
from depth_pose_training.data.records import (
    HIDDEN,
    OUTSIDE,
    VISIBLE,
    CropSample,
    FrameSample,
    crop_around,
    usable,
)
from depth_pose_training.data.synthetic.bodies import Body, BodyModel
from depth_pose_training.data.synthetic.clothes import Tailor
from depth_pose_training.data.synthetic.config import GeneratorConfig
from depth_pose_training.data.synthetic.poses import sample as sample_figure
from depth_pose_training.data.synthetic.retarget import Details
from depth_pose_training.data.synthetic.scene import Person, Scene, views
from depth_pose_training.data.synthetic.sensor import measure

Array = NDArray[np.float64]
#: The deepest a joint lies under its own skin, metres.
_FLESH = 0.22
#: The farthest that any of the sensors sees, metres.
_REACH = 12.0
#: Focal lengths of whole frames, pixels: coarse, because the detector needs no more.
FRAME_FOCAL = (95.0, 125.0)


def _visibility(person: Person, index: int, scene: Scene, camera: Camera) -> NDArray[np.uint8]:
    uv = camera.project(person.joints)
    rays = person.joints / person.joints[:, 2:]
    z, mesh = scene.cast(rays[:, None, 0], rays[:, None, 1])
    below = person.joints[:, 2] - z[:, 0]
    seen = (mesh[:, 0] == index) & (below < _FLESH)
    # A limb may be nearer than its joint's depth allows only if another part of the body hides it.
    out = np.where(seen, VISIBLE, HIDDEN).astype(np.uint8)
    inside = (
        (uv[:, 0] >= 0) & (uv[:, 0] < camera.width) & (uv[:, 1] >= 0) & (uv[:, 1] < camera.height)
    )
    out[~inside | (person.joints[:, 2] < 0.3)] = OUTSIDE
    return out


def _look(
    scene: Scene, camera: Camera, columns: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """(H, W) true depth in metres, 0 where nothing is in reach, and meshes at a camera's pixels."""
    z, mesh = scene.cast(
        *np.meshgrid((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
    )
    z[z > _REACH] = 0
    return z, mesh


def _crop_depth(
    scene: Scene,
    frame: crops.CropFrame,
    keep: list[int] | None,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(216, 176) metres as this scene's sensor would deliver them to the crop.

    On the sensor's own pixels, those nearest to the crop's, as :func:`depth_pose_ros.core.crops.cut`
    takes them: otherwise images and labels would be a part of a pixel apart.
    """
    camera = scene.sensor.camera
    ray_x = frame.ray_x + frame.step * np.arange(crops.WIDTH)
    ray_y = frame.ray_y + frame.step * np.arange(crops.HEIGHT)
    u, column = np.unique(np.rint(ray_x * camera.fx + camera.cx), return_inverse=True)
    v, row = np.unique(np.rint(ray_y * camera.fy + camera.cy), return_inverse=True)
    z, mesh = _look(scene, camera, u, v)
    z[:, (u < 0) | (u > camera.width - 1)] = 0
    z[(v < 0) | (v > camera.height - 1)] = 0
    out = measure(z, scene.sensor.kind, max(frame.step, 1 / camera.fx), rng, config.noise)
    if keep is not None:
        out[~_kept(mesh, keep, rng)] = 0
    return np.ascontiguousarray(out[np.ix_(row, column)])


def _kept(mesh: NDArray[np.int32], keep: list[int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A segmenter's mask of some people: now and then a pixel too wide or too narrow."""
    mask: NDArray[Any] = np.isin(mesh, keep).astype(np.uint8)
    kind = rng.integers(4)
    if kind == 0:
        mask = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    elif kind == 1:
        mask = cv2.erode(mask, np.ones((2, 2), np.uint8))
    return np.asarray(mask > 0)


def _crop(
    scene: Scene, i: int, seen: NDArray[np.uint8], config: GeneratorConfig, rng: np.random.Generator
) -> CropSample:
    person = scene.people[i]
    frame = crop_around(person.joints, config.crops, rng)
    keep: list[int] | None = None
    if rng.random() < config.crops.removed:
        keep = [i] if rng.random() < 0.6 else list(range(len(scene.people)))
    z = _crop_depth(scene, frame, keep, config, rng)
    return CropSample(
        crops.relative_millimetres(z, frame),
        frame.as_array(),
        person.joints.astype(np.float32),
        seen,
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
    """The whole image on the sensor's rays, scaled to a focal length within ``focal``, pixels."""
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
    z, mesh = _look(scene, camera, np.arange(camera.width), np.arange(camera.height))
    depth = measure(z, scene.sensor.kind, 1 / camera.fx, rng, config.noise)
    if rng.random() < config.crops.frame_removed:
        depth[~_kept(mesh, list(range(len(scene.people))), rng)] = 0
    joints = np.array([p.joints for p in scene.people], dtype=np.float32).reshape(-1, NUM_JOINTS, 3)
    return FrameSample(depth, camera, joints, visible)


class Generator:
    """Endless streams of scenes' samples.

    Args:
        clips: motion-capture clips to draw poses from, each (T, 19, 3), z up.
        pool: how many bodies are shaped and posed in one batch.
        config: see ``synthetic.yaml``.
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
        # Every clip counts by the root of its length: long ones do not drown the rest.
        weight = np.sqrt([len(c) for c in clips])
        self._weights = weight / weight.sum()
        self._pool = pool
        self._model = BodyModel()
        self._tailor = Tailor(self._model, self.config.clothes)

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
        """View after view, some of the same scene, each with the generator of its random choices;
        the same seed gives the same."""
        rng = np.random.default_rng(seed)
        bodies = self._bodies(rng)
        number = self.config.people.number
        while True:
            n = int(rng.choice(len(number), p=number))
            for scene in views(list(islice(bodies, n)), self._tailor, self.config, rng):
                yield scene, rng

    def stream(self, seed: int | Sequence[int]) -> Iterator[tuple[list[CropSample], FrameSample]]:
        """The samples of view after view; the same seed gives the same samples."""
        for scene, rng in self.scenes(seed):
            seen = [
                _visibility(p, i, scene, scene.sensor.camera) for i, p in enumerate(scene.people)
            ]
            made = [
                _crop(scene, i, seen[i], self.config, rng)
                for i in range(len(scene.people))
                if usable(scene.people[i].joints, seen[i])
            ]
            visible = np.array(seen, dtype=np.uint8).reshape(-1, NUM_JOINTS)
            yield made, _frame(scene, visible, self.config, rng)

    def frames(
        self, seed: int | Sequence[int], focal: tuple[float, float]
    ) -> Iterator[FrameSample]:
        """Whole frames only, of focal lengths within ``focal`` pixels."""
        for scene, rng in self.scenes(seed):
            seen = [
                _visibility(p, i, scene, scene.sensor.camera) for i, p in enumerate(scene.people)
            ]
            visible = np.array(seen, dtype=np.uint8).reshape(-1, NUM_JOINTS)
            yield _frame(scene, visible, self.config, rng, focal)
