"""A room with people in it and a camera that looks at them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from depth_pose_ros.skeleton import INDEX
from depth_pose_training.synthetic import furniture
from depth_pose_training.synthetic.bodies import Body
from depth_pose_training.synthetic.render import Mesh, Renderer, Viewpoint
from depth_pose_training.synthetic.sensor import SENSORS, WEIGHTS, Sensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Person:
    """A body standing in the world: joints (19, 3) in the camera's optical frame, metres."""

    joints: Array
    mode: str


@dataclass(frozen=True)
class Scene:
    """Everything one camera sees.  Mesh i of the renderer is person i; the rest comes after."""

    people: list[Person]
    renderer: Renderer
    viewpoint: Viewpoint
    sensor: Sensor


def _stand(body: Body, x: float, y: float, yaw: float, lift: float) -> tuple[Mesh, Array]:
    turn = Rotation.from_euler("z", yaw).as_matrix()
    vertices, joints = body.vertices @ turn.T.astype(np.float32), body.joints @ turn.T
    shift = np.array((x - joints[INDEX["DownSpine"], 0], y - joints[INDEX["DownSpine"], 1],
                      lift - float(vertices[:, 2].min())))  # fmt: skip
    return Mesh((vertices + shift).astype(np.float32), _NO_FACES), joints + shift


_NO_FACES = np.zeros((0, 3), dtype=np.int32)


def _seat(mesh: Mesh, joints: Array, yaw: float, rng: np.random.Generator) -> list[Mesh]:
    """Something under a sitting person, as high as the thighs allow."""
    hips = joints[[INDEX["LeftHip"], INDEX["RightHip"]]].mean(0)
    near = np.linalg.norm(mesh.vertices[:, :2] - hips[:2], axis=1) < 0.2
    top = float(mesh.vertices[near, 2].min()) + 0.02
    if top < 0.15:
        return []
    kind = rng.random()
    if kind < 0.55:
        seat = furniture.chair(rng, top)
    elif kind < 0.8:
        seat = furniture.sofa(rng, top)
    else:
        seat = furniture.box((*rng.uniform(0.35, 0.8, 2), top), (0, 0, top / 2))
    shift = Rotation.from_euler("z", yaw).apply((0.0, -0.05, 0.0))
    return [furniture.move(seat, (hips[0] + shift[0], hips[1] + shift[1], 0), yaw)]


def _places(n: int, sensor: Sensor, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Floor positions of n people as seen from the origin along +y, at least 0.4 m apart."""
    half = np.arctan(sensor.camera.width / 2 / sensor.camera.fx)
    nearest, farthest = (1.5, 5.0) if rng.random() < 0.85 else (0.9, 1.5)
    distance = float(np.exp(rng.uniform(np.log(nearest), np.log(farthest))))
    angle = rng.uniform(-0.8, 0.8) * half
    places = [(distance * np.sin(angle), distance * np.cos(angle))]
    for _ in range(40):
        if len(places) == n:
            break
        if rng.random() < 0.65:  # close company
            r, a = rng.uniform(0.4, 1.1), rng.uniform(-np.pi, np.pi)
            x, y = places[0][0] + r * np.cos(a), places[0][1] + r * np.sin(a)
        else:
            r, a = rng.uniform(1.0, 5.2), rng.uniform(-0.9, 0.9) * half
            x, y = r * np.sin(a), r * np.cos(a)
        if y > 0.7 and all(np.hypot(x - px, y - py) > 0.4 for px, py in places):
            places.append((float(x), float(y)))
    return places


def _surroundings(
    places: Sequence[tuple[float, float]], depth: float, rng: np.random.Generator
) -> list[Mesh]:
    parts = furniture.room(rng, depth)
    for _ in range(int(rng.poisson(2.5))):
        x, y = rng.uniform(-2.5, 2.5), rng.uniform(0.6, depth + 2.5)
        if all(np.hypot(x - px, y - py) > 0.55 for px, py in places) and np.hypot(x, y) > 0.9:
            parts.append(furniture.move(furniture.piece(rng), (x, y, 0)))
    if places and rng.random() < 0.2:  # something between the camera and the first person
        px, py = places[0]
        t = rng.uniform(0.45, 0.85)
        if np.hypot(px, py) * (1 - t) > 0.35:
            maker = furniture.table if rng.random() < 0.5 else furniture.piece
            x = px * t + rng.normal(0, 0.3)
            parts.append(furniture.move(maker(rng), (x, py * t, 0)))
    return parts


def build(
    bodies: Sequence[tuple[Body, str]], faces: NDArray[np.int32], rng: np.random.Generator
) -> Scene:
    """A random scene with these bodies (none: an empty room).

    Args:
        bodies: posed bodies and the mode of each pose.
        faces: the bodies' common triangles.
    """
    sensor = SENSORS[int(rng.choice(len(SENSORS), p=WEIGHTS))]
    places = _places(len(bodies), sensor, rng) if bodies else []
    depth = places[0][1] if places else float(rng.uniform(1.5, 4.5))
    people: list[tuple[Array, str]] = []
    meshes: list[Mesh] = []
    extras: list[Mesh] = []
    for (body, mode), (x, y) in zip(bodies, places, strict=False):
        facing = -np.arctan2(x, y)
        yaw = facing + (rng.normal(0, 0.7) if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi))
        lift = float(rng.uniform(0.2, 0.7)) if mode == "lying" and rng.random() < 0.4 else 0.0
        mesh, joints = _stand(body, x, y, yaw, lift)
        mesh = Mesh(mesh.vertices, faces)
        if lift:
            extras.append(
                furniture.move(furniture.box((2.1, 2.1, lift), (0, 0, lift / 2)), (x, y, 0), yaw)
            )
        if mode == "sitting" and rng.random() < 0.85:
            extras += _seat(mesh, joints, yaw, rng)
        for hand in ("LeftHand", "RightHand"):
            if rng.random() < 0.06:
                extras.append(furniture.move(furniture.thing(rng), joints[INDEX[hand]]))
        meshes.append(mesh)
        people.append((joints, mode))
    extras += _surroundings(places, depth, rng)
    if not extras:
        extras.append(furniture.box((30, 30, 0.1), (0, 0, -0.05)))

    height = float(rng.uniform(0.3, 2.2))
    roll = float(rng.normal(0, 0.03))
    if people and rng.random() < 0.65:
        target = people[0][0][INDEX["MiddleSpine"]]
        aim = np.arctan2(target[2] - height, np.hypot(target[0], target[1]))
        pitch = aim + rng.normal(0, 0.16)
    else:
        pitch = rng.normal(-0.03, 0.1)
    viewpoint = Viewpoint(np.array((0.0, 0.0, height)), float(np.clip(pitch, -0.9, 0.6)), roll)
    return Scene(
        [Person(viewpoint.to_optical(j), mode) for j, mode in people],
        Renderer([*meshes, furniture.join(extras)]),
        viewpoint,
        sensor,
    )
