"""Walls and furniture as planes and triangle meshes (z up, metres)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from depth_pose_training.data.synthetic.config import RoomConfig
from depth_pose_training.data.synthetic.render import Mesh, Plane, Viewpoint

Array = NDArray[np.float64]
_MARGIN = 0.02  #: metres between walls and people
_BOX_FACES = np.array(
    [
        (0, 1, 3), (0, 3, 2), (4, 7, 5), (4, 6, 7), (0, 5, 1), (0, 4, 5),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ],
    dtype=np.int32,
)  # fmt: skip


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh from several."""
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + np.int32(o) for m, o in zip(meshes, offsets, strict=True)]),
    )


def move(mesh: Mesh, to: ArrayLike, yaw: float = 0.0) -> Mesh:
    """Rotate about z by ``yaw`` radians, then translate."""
    rotation = Rotation.from_euler("z", yaw).as_matrix()
    return Mesh((mesh.vertices @ rotation.T + np.asarray(to)).astype(np.float32), mesh.faces)


def box(size: ArrayLike, centre: ArrayLike = (0.0, 0.0, 0.0)) -> Mesh:
    """An axis-aligned box."""
    unit = np.array([(x, y, z) for z in (-0.5, 0.5) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
    return Mesh((unit * np.asarray(size) + np.asarray(centre)).astype(np.float32), _BOX_FACES)


def lathe(profile: Sequence[tuple[float, float]], sides: int = 14) -> Mesh:
    """A solid of revolution about z through (radius, height) points: poles, lamps, plants."""
    angle = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    vertices = np.concatenate(
        [np.column_stack((r * ring, np.full(sides, h))) for r, h in profile]
    ).astype(np.float32)
    faces = []
    for level in range(len(profile) - 1):
        for i in range(sides):
            a, b = level * sides + i, level * sides + (i + 1) % sides
            faces += [(a, b, b + sides), (a, b + sides, a + sides)]
    return Mesh(vertices, np.array(faces, dtype=np.int32))


def table(rng: np.random.Generator) -> Mesh:
    w, d, h = rng.uniform(0.6, 1.8), rng.uniform(0.5, 1.0), rng.uniform(0.4, 0.95)
    legs = [
        box((0.06, 0.06, h), (sx * (w / 2 - 0.05), sy * (d / 2 - 0.05), h / 2))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return join([box((w, d, 0.05), (0, 0, h)), *legs])


def chair(rng: np.random.Generator, seat: float | None = None) -> Mesh:
    """A chair facing -y with its seat's top at height ``seat``."""
    h = rng.uniform(0.35, 0.55) if seat is None else seat
    w, d, back = rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.55), rng.uniform(0.2, 0.7)
    parts = [box((w, d, 0.06), (0, 0, h - 0.03)), box((w, 0.06, back), (0, d / 2, h + back / 2))]
    if rng.random() < 0.5:
        parts += [
            box((0.05, 0.05, h), (sx * (w / 2 - 0.03), sy * (d / 2 - 0.03), h / 2))
            for sx in (-1, 1)
            for sy in (-1, 1)
        ]
    else:
        parts.append(box((0.1, 0.1, h), (0, 0, h / 2)))
    if rng.random() < 0.4:
        parts += [box((0.06, d, 0.04), (s * w / 2, 0, h + 0.2)) for s in (-1, 1)]
    return join(parts)


def sofa(rng: np.random.Generator, seat: float | None = None) -> Mesh:
    h = rng.uniform(0.35, 0.5) if seat is None else seat
    w, d, back = rng.uniform(0.9, 2.2), rng.uniform(0.6, 0.9), rng.uniform(0.3, 0.6)
    arms = [box((0.15, d, h + 0.2), (s * w / 2, 0, (h + 0.2) / 2)) for s in (-1, 1)]
    return join(
        [box((w, d, h), (0, 0, h / 2)), box((w, 0.2, h + back), (0, d / 2, (h + back) / 2)), *arms]
    )


def cabinet(rng: np.random.Generator) -> Mesh:
    size = rng.uniform((0.25, 0.25, 0.3), (1.2, 0.7, 2.1))
    return box(size, (0, 0, size[2] / 2))


def upright_object(rng: np.random.Generator) -> Mesh:
    """A slim object of a person's height: a lamp, a plant, a pillar, a coat rack."""
    top = rng.uniform(0.8, 2.0)
    kind = rng.integers(4)
    if kind == 0:
        return lathe([(0.18, 0), (0.18, 0.03), (0.03, 0.04), (0.03, top - 0.3), (0.22, top - 0.3),
                      (0.12, top), (0.0, top)])  # fmt: skip
    if kind == 1:
        heights = np.linspace(0, top, 8)
        return lathe([(float(rng.uniform(0.05, 0.4)), float(h)) for h in heights])
    if kind == 2:
        r = rng.uniform(0.08, 0.35)
        return lathe([(r, 0), (r, top), (0, top)])
    rack = [box((0.05, 0.05, top), (0, 0, top / 2))]
    for _ in range(int(rng.integers(1, 5))):
        hang = rng.uniform((0.15, 0.08, 0.3), (0.5, 0.3, 1.1))
        rack.append(box(hang, (*rng.normal(0, 0.12, 2), top - hang[2] / 2)))
    return join(rack)


def small_object(rng: np.random.Generator) -> Mesh:
    """A box or a vessel of 3 to 50 cm."""
    if rng.random() < 0.5:
        return box(rng.uniform(0.03, 0.35, 3))
    r, h = rng.uniform(0.03, 0.15), rng.uniform(0.05, 0.5)
    return lathe([(0, -h / 2), (r, -h / 2), (r * rng.uniform(0.5, 1.2), h / 2), (0, h / 2)], 10)


def held_object(rng: np.random.Generator, direction: ArrayLike) -> Mesh:
    """An object in one hand at the origin that points along ``direction``, (3,) unit vector: a cup,
    a stick, a hanging bag, or any small object."""
    along = np.asarray(direction, dtype=np.float64)
    kind = rng.integers(4)
    if kind == 0:
        r = rng.uniform(0.02, 0.045)
        made = lathe([(0, -0.07), (r, -0.07), (r, 0.07), (0, 0.07)], 10)
        return Mesh((made.vertices + 0.03 * along).astype(np.float32), made.faces)
    if kind == 1:  # a stick across the hand
        length, hold = rng.uniform(0.3, 1.3), rng.uniform(0.0, 0.5)
        r = rng.uniform(0.008, 0.025)
        low, high = -hold * length, (1 - hold) * length
        stick = lathe([(0, low), (r, low), (r, high), (0, high)], 8)
        across = np.cross(along, rng.normal(size=3))
        turn = Rotation.align_vectors([across], [(0.0, 0.0, 1.0)])[0].as_matrix()
        return Mesh((stick.vertices @ turn.T + 0.02 * along).astype(np.float32), stick.faces)
    if kind == 2:
        size = rng.uniform((0.2, 0.08, 0.2), (0.4, 0.2, 0.4))
        handle = box((0.15, 0.02, 0.15), (0, 0, -0.08))
        return join([handle, box(size, (0, 0, -0.15 - size[2] / 2))])
    made = small_object(rng)
    reach = 0.5 * float(np.ptp(made.vertices @ along))
    return Mesh((made.vertices + reach * along).astype(np.float32), made.faces)


_FURNITURE = (table, chair, sofa, cabinet, upright_object, cabinet, upright_object)


def random_furniture(rng: np.random.Generator) -> Mesh:
    """A random piece of furniture at the origin, with a random yaw."""
    made = _FURNITURE[int(rng.integers(len(_FURNITURE)))](rng)
    return move(made, (0, 0, 0), rng.uniform(-np.pi, np.pi))


def walls(
    viewpoint: Viewpoint,
    target: Array,
    keep: NDArray[np.floating],
    config: RoomConfig,
    rng: np.random.Generator,
) -> list[Plane]:
    """Walls behind and beside a point, as seen by one camera.

    Args:
        viewpoint: the camera; it stays inside the room.
        target: (3,) world point.
        keep: (N, 3) world points of the people; they stay inside the room.
        config: probabilities.
        rng: random generator.
    """
    inside = np.concatenate((keep, viewpoint.position[None]))
    planes = []
    if rng.random() < config.back_wall:
        yaw = viewpoint.yaw + rng.normal(0, 0.35)
        planes.append(_wall(yaw, target, rng.uniform(0.35, 4.0), inside))
    for side in (-1, 1):
        if rng.random() < config.side_wall:
            yaw = viewpoint.yaw + side * np.pi / 2 + rng.normal(0, 0.2)
            planes.append(_wall(yaw, target, rng.uniform(1.2, 4.0), inside))
    return planes


def _wall(yaw: float, target: Array, distance: float, inside: Array) -> Plane:
    """A vertical wall behind ``target`` in the direction ``yaw``, behind all points ``inside``."""
    outwards = np.array((-np.sin(yaw), np.cos(yaw), 0.0))
    max_distance = float((inside @ outwards).max()) + _MARGIN
    return Plane(outwards, max(float(target @ outwards) + distance, max_distance))


def floor_and_ceiling(config: RoomConfig, top: float, rng: np.random.Generator) -> list[Plane]:
    """Horizontal planes; the ceiling is above ``top`` metres."""
    planes = []
    if rng.random() < config.floor:
        planes.append(Plane(np.array((0.0, 0.0, 1.0)), 0.0))
    if rng.random() < config.ceiling:
        height = max(rng.uniform(2.3, 3.2), top + _MARGIN)
        planes.append(Plane(np.array((0.0, 0.0, 1.0)), height))
    return planes
