"""Clothes and hair as an offset of the body's surface, skirts and coats as a tube.

The joints do not change.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic.bodies import PARTS, Body, BodyModel
from depth_pose_training.data.synthetic.config import ClothesConfig
from depth_pose_training.data.synthetic.render import Mesh

Array = NDArray[np.float64]
_PART = {name: i for i, name in enumerate(PARTS)}
_RINGS, _SIDES = 7, 18


@dataclass(frozen=True)
class ClothingSampler:
    """Samples clothes and hair for bodies of one model."""

    model: BodyModel
    config: ClothesConfig

    def sample(self, body: Body, rng: np.random.Generator) -> Mesh:
        """The surface of a body with random clothes."""
        thickness = self._thickness(rng)
        vertices = body.vertices
        if thickness.any():
            normals = vertex_normals(vertices, self.model.faces)
            vertices = (vertices + thickness[:, None] * normals).astype(np.float32)
        if rng.random() < self.config.skirt:
            tube = skirt(body.joints, rng.uniform(0.5, 1.5), rng.uniform(0.01, 0.08))
            if tube is not None:
                faces = np.concatenate((self.model.faces, tube.faces + np.int32(len(vertices))))
                return Mesh(np.concatenate((vertices, tube.vertices)), faces)
        return Mesh(vertices, self.model.faces)

    def _thickness(self, rng: np.random.Generator) -> Array:
        """(V,) offset along the normals, metres."""
        rest, parts = self.model.rest, self.model.parts
        out = np.zeros(len(rest))
        if rng.random() < self.config.probability:
            top, bottom, shoes = (rng.uniform(*self.config.thickness) for _ in range(3))
            sleeves = rng.choice((0.0, 0.6, 1.0))
            legs = rng.choice((0.5, 1.0, 1.0))
            worn = np.zeros(len(PARTS))
            worn[_PART["trunk"]] = top
            worn[_PART["upper arm"]] = 0.7 * top * min(1.0, 2 * sleeves)
            worn[_PART["forearm"]] = 0.6 * top * (sleeves == 1)
            worn[_PART["thigh"]] = 0.8 * bottom
            worn[_PART["shin"]] = bottom * (legs == 1)
            worn[_PART["foot"]] = 0.5 * shoes
            out += parts @ worn * self._folds(rng)
        if rng.random() < self.config.hair:
            out += rng.uniform(*self.config.hair_thickness) * self._scalp(rng.random() < 0.35)
        return out

    def _folds(self, rng: np.random.Generator) -> Array:
        """(V,) factors around 1 with a wavelength of 6 to 30 cm."""
        waves = rng.normal(size=(4, 3))
        waves *= 2 * np.pi / rng.uniform(0.06, 0.3, (4, 1)) / np.linalg.norm(waves, axis=1)[:, None]
        sway = np.sin(self.model.rest @ waves.T + rng.uniform(0, 2 * np.pi, 4)).mean(1)
        folded: Array = 1 + self.config.folds * 2 * sway
        return np.maximum(folded, 0)

    def _scalp(self, long: bool) -> Array:
        """(V,) weight of hair in [0, 1]: above and behind the face, on the neck if long."""
        rest, parts = self.model.rest, self.model.parts
        head = rest[parts[:, _PART["head"]] > 0.5]
        low, high = head.min(0), head.max(0)
        position = (rest - low) / (high - low)  # y runs from the face to the back of the head
        above = np.clip((position[:, 2] + 0.7 * position[:, 1] - 1.0) / 0.25, 0, 1)
        hair = above * parts[:, _PART["head"]]
        if long:
            behind = np.clip((position[:, 1] - 0.45) / 0.2, 0, 1)
            down = np.clip((position[:, 2] + 0.6) / 0.3, 0, 1)
            other = parts[:, _PART["neck"]] + parts[:, _PART["trunk"]]
            hair = np.maximum(hair, behind * down * (other + parts[:, _PART["head"]]))
        return hair


def vertex_normals(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> Array:
    """(V, 3) unit normals, outwards for faces that run counter-clockwise seen from outside."""
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    face = np.cross(b - a, c - a)
    normal = np.stack(
        [
            sum(np.bincount(faces[:, i], face[:, axis], len(vertices)) for i in range(3))
            for axis in range(3)
        ],
        axis=-1,
    )
    unit: Array = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return unit


def skirt(joints: Array, length: float, ease: float) -> Mesh | None:
    """A tube from the waist around both legs.

    Args:
        joints: (19, 3) metres.
        length: in lengths of the thigh; above 1 the tube continues along the shins.
        ease: distance between leg and cloth, metres.

    Returns:
        None if the directions of the legs differ too much, or the thighs do not hang down.
    """
    at = {k: joints[INDEX[k]] for k in INDEX}
    thighs = [at[f"{s}Knee"] - at[f"{s}Hip"] for s in ("Left", "Right")]
    sizes = [float(np.linalg.norm(t)) for t in thighs]
    if thighs[0] @ thighs[1] < 0.85 * sizes[0] * sizes[1]:
        return None
    if -(thighs[0] + thighs[1])[2] < 0.6 * sum(sizes):
        return None
    shins = [at[f"{s}Foot"] - at[f"{s}Knee"] for s in ("Left", "Right")]
    if length > 1 and shins[0] @ shins[1] < 0.85 * float(np.prod(np.linalg.norm(shins, axis=1))):
        length = 1.0
    axis = at["LeftHip"] - at["RightHip"]
    angle = np.arange(_SIDES) * 2 * np.pi / _SIDES
    rings = []
    for t in np.linspace(0, length, _RINGS):
        legs = []
        for s in ("Left", "Right"):
            hip, knee, foot = at[f"{s}Hip"], at[f"{s}Knee"], at[f"{s}Foot"]
            legs.append(hip + t * (knee - hip) if t <= 1 else knee + (t - 1) * (foot - knee))
        down = thighs[0] + thighs[1] if t <= 1 else shins[0] + shins[1]
        apart = legs[0] - legs[1]
        down = down / np.linalg.norm(down)
        across = apart - (apart @ down) * down
        if np.linalg.norm(across) < 0.05:  # one leg behind the other
            across = axis - (axis @ down) * down
        across = across / max(float(np.linalg.norm(across)), 1e-9)
        radius = np.interp(t, (0, 1, 2), (0.13, 0.085, 0.07)) + ease
        wide = float(np.linalg.norm(apart)) / 2 + radius
        ring = wide * np.cos(angle)[:, None] * across
        ring = ring + radius * np.sin(angle)[:, None] * np.cross(down, across)
        rings.append((legs[0] + legs[1]) / 2 + ring)
    first = np.arange((_RINGS - 1) * _SIDES).reshape(_RINGS - 1, _SIDES)
    right = np.roll(first, -1, axis=1)
    faces = np.stack(
        (
            np.stack((first, right, right + _SIDES), axis=-1),
            np.stack((first, right + _SIDES, first + _SIDES), axis=-1),
        )
    )
    return Mesh(np.concatenate(rings).astype(np.float32), faces.reshape(-1, 3).astype(np.int32))
