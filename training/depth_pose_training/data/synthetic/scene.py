"""A furnished scene with people, seen by one or several cameras."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic import props, room
from depth_pose_training.data.synthetic.bodies import Body
from depth_pose_training.data.synthetic.clothes import ClothingSampler
from depth_pose_training.data.synthetic.config import GeneratorConfig
from depth_pose_training.data.synthetic.render import Mesh, Plane, Renderer, Viewpoint
from depth_pose_training.data.synthetic.sensor import SENSORS, Sensor

Array = NDArray[np.float64]
_SPINE = INDEX["MiddleSpine"]
_VOXEL = 0.05  #: metres: bodies that share a voxel intersect
_TRIES = 8
_MIN_DISTANCE = 0.45  #: metres: of objects from a camera


@dataclass(frozen=True)
class Person:
    """A person: joints (19, 3) in the optical frame of a camera, metres."""

    joints: Array
    mode: str


@dataclass(frozen=True)
class Scene:
    """A scene seen by one camera.  The first meshes of the renderer are the people, in order."""

    people: list[Person]
    renderer: Renderer
    viewpoint: Viewpoint
    sensor: Sensor
    planes: list[Plane]

    def cast(
        self, ray_x: NDArray[np.floating], ray_y: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Depth and mesh along rays, see :meth:`Renderer.cast`."""
        return self.renderer.cast(self.viewpoint, ray_x, ray_y, self.planes)


@dataclass(frozen=True)
class _PlacedBody:
    """A dressed body in the world."""

    mesh: Mesh
    joints: Array
    mode: str
    yaw: float
    voxels: NDArray[np.int64]


def sample_views(
    bodies: Sequence[tuple[Body, str]],
    clothing: ClothingSampler,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> list[Scene]:
    """A random scene with these bodies (none: an empty room), seen by several cameras.

    Bodies without a free position are left out, and so are views with an obstacle right in front
    of the camera, except the first view.

    Args:
        bodies: posed bodies and the mode of each pose.
        clothing: samples their clothes.
        config: see ``generator.yaml``.
        rng: random generator.
    """
    sensor = _sample_sensor(config, rng)
    people, extras = _place_people(bodies, clothing, config, sensor, rng)
    depth = float(people[0].joints[_SPINE, 1]) if people else float(rng.uniform(1.5, 4.5))
    extras += _sample_furniture(people, depth, config, rng)
    meshes = [p.mesh for p in people] + extras
    renderer = Renderer(meshes)
    top = max((float(m.vertices[:, 2].max()) for m in meshes), default=0.0)
    level = room.floor_and_ceiling(config.room, top, rng)
    keep = np.concatenate([np.zeros((0, 3), np.float32)] + [p.mesh.vertices for p in people])
    made = []
    for i in range(config.cameras.views):
        index = int(rng.integers(len(people))) if people else -1
        centre = people[index].joints[_SPINE] if people else np.array((0.0, depth, 1.0))
        if i == 0:
            viewpoint = _sample_camera(
                np.zeros(2), 0.0, people[0].joints if people else None, config, rng
            )
        else:
            sensor = _sample_sensor(config, rng)
            aim = people[index].joints if people else None
            viewpoint = _sample_other_camera(centre, aim, sensor, config, rng)
        target = people[0].joints[_SPINE] if i == 0 and people else centre
        planes = level + room.walls(viewpoint, target, keep, config.room, rng)
        scene = Scene(
            [Person(viewpoint.to_optical(p.joints), p.mode) for p in people],
            renderer, viewpoint, sensor, planes,
        )  # fmt: skip
        if i == 0 or _is_usable(scene):
            made.append(scene)
    return made


def _sample_sensor(config: GeneratorConfig, rng: np.random.Generator) -> Sensor:
    shares = config.cameras.sensors
    name = str(rng.choice(list(shares), p=list(shares.values())))
    return next(s for s in SENSORS if s.name == name)


def _place_people(
    bodies: Sequence[tuple[Body, str]],
    clothing: ClothingSampler,
    config: GeneratorConfig,
    sensor: Sensor,
    rng: np.random.Generator,
) -> tuple[list[_PlacedBody], list[Mesh]]:
    """Place bodies and their objects without intersections; returns people and objects."""
    people: list[_PlacedBody] = []
    extras: list[Mesh] = []
    for body, mode in bodies:
        dressed = clothing.sample(body, rng)
        for x, y in _candidate_positions([p.joints for p in people], sensor, config, rng):
            towards_camera = -np.arctan2(x, y)
            turned = rng.normal(0, 0.7) if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi)
            on_bed = mode == "lying" and rng.random() < config.room.bed
            lift = float(rng.uniform(0.2, 0.7)) if on_bed else 0.0
            placed = _place(dressed, body.joints, mode, x, y, towards_camera + turned, lift)
            if any(np.isin(placed.voxels, p.voxels).any() for p in people):
                continue
            own = _sample_objects(placed, clothing, config, lift, rng)
            others = [p.mesh.vertices for p in people]
            if any(_intersects(placed.mesh.vertices, e) for e in extras) or any(
                _intersects(v, e) for e in own for v in others
            ):
                continue
            people.append(placed)
            extras += own
            break
    return people, extras


def _place(
    dressed: Mesh, joints: Array, mode: str, x: float, y: float, yaw: float, lift: float
) -> _PlacedBody:
    rotation = Rotation.from_euler("z", yaw).as_matrix()
    vertices = dressed.vertices @ rotation.T.astype(np.float32)
    joints = joints @ rotation.T
    root = joints[INDEX["DownSpine"]]
    shift = np.array((x - root[0], y - root[1], lift - float(vertices[:, 2].min())))
    vertices = (vertices + shift).astype(np.float32)
    cell = np.floor(vertices / _VOXEL).astype(np.int64)
    code = np.unique((cell[:, 0] * 100003 + cell[:, 1]) * 100003 + cell[:, 2])
    return _PlacedBody(Mesh(vertices, dressed.faces), joints + shift, mode, yaw, code)


def _intersects(vertices: NDArray[np.float32], piece: Mesh, margin: float = 0.0) -> bool:
    """Whether any vertex lies in the bounding box of a mesh."""
    low, high = piece.vertices.min(0) - margin, piece.vertices.max(0) + margin
    return bool(((vertices > low) & (vertices < high)).all(1).any())


def _candidate_positions(
    others: Sequence[Array], sensor: Sensor, config: GeneratorConfig, rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Random floor positions of one more person, in view of a camera that looks along +y from the
    origin."""
    half = np.arctan(sensor.camera.width / 2 / sensor.camera.fx)
    cameras = config.cameras
    for _ in range(_TRIES):
        if not others:
            near = rng.random() < cameras.near
            min_distance, max_distance = cameras.near_distance if near else cameras.distance
            r = float(np.exp(rng.uniform(np.log(min_distance), np.log(max_distance))))
            a = rng.uniform(-0.8, 0.8) * half
            yield r * np.sin(a), r * np.cos(a)
            continue
        first = others[0][INDEX["DownSpine"]]
        if rng.random() < 0.65:  # close to the first person
            r, a = rng.uniform(0.4, 1.1), rng.uniform(-np.pi, np.pi)
            x, y = float(first[0] + r * np.cos(a)), float(first[1] + r * np.sin(a))
        else:
            r, a = rng.uniform(1.0, 5.2), rng.uniform(-0.9, 0.9) * half
            x, y = r * np.sin(a), r * np.cos(a)
        if y > 0.7:
            yield x, y


def _sample_objects(
    p: _PlacedBody,
    clothing: ClothingSampler,
    config: GeneratorConfig,
    lift: float,
    rng: np.random.Generator,
) -> list[Mesh]:
    """Objects that a person holds, carries, sits on or lies on."""
    made = props.carried_objects(
        p.mesh.vertices, clothing.model.parts, p.joints, config.objects, rng
    )
    if lift:
        low, high = p.mesh.vertices[:, :2].min(0), p.mesh.vertices[:, :2].max(0)
        size = (*(high - low + rng.uniform(0.1, 0.5, 2)), lift)
        made.append(room.box(size, (*(low + high) / 2, lift / 2)))
    if p.mode == "sitting":
        if rng.random() < config.room.seat:
            seat = props.seat(p.mesh.vertices, clothing.model.parts, p.joints, p.yaw, rng)
            made += [] if seat is None else [seat]
        if rng.random() < config.objects.table:
            table = props.table(p.mesh.vertices, p.joints, p.yaw, rng)
            made += [] if table is None else [table]
    return made


def _sample_furniture(
    people: Sequence[_PlacedBody],
    depth: float,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> list[Mesh]:
    """Furniture that does not intersect the people."""
    made: list[Mesh] = []
    candidates = [
        (room.random_furniture(rng), rng.uniform(-2.5, 2.5), rng.uniform(0.6, depth + 2.5))
        for _ in range(int(rng.poisson(config.room.furniture)))
    ]
    if people and rng.random() < config.objects.occluder:  # between camera and first person
        px, py, _ = people[0].joints[INDEX["DownSpine"]]
        t = rng.uniform(0.45, 0.85)
        maker = room.table if rng.random() < 0.5 else room.random_furniture
        candidates.append((maker(rng), px * t + rng.normal(0, 0.3), py * t))
    for piece, x, y in candidates:
        moved = room.move(piece, (x, y, 0))
        if np.hypot(x, y) > 0.9 and not any(
            _intersects(p.mesh.vertices, moved, margin=0.03) for p in people
        ):
            made.append(moved)
    return made


def _sample_camera(
    position: Array,
    yaw: float,
    aim: Array | None,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> Viewpoint:
    """A camera at a floor position (2,); it may be tilted towards the joints ``aim``."""
    cameras = config.cameras
    height = float(rng.uniform(*cameras.height))
    pitch = rng.normal(-0.03, cameras.level_sigma)
    if aim is not None and rng.random() < cameras.aimed:
        x, y, z = aim[_SPINE] - (*position, height)
        pitch = np.arctan2(z, np.hypot(x, y)) + rng.normal(0, cameras.aim_sigma)
    roll = float(rng.normal(0, cameras.roll_sigma))
    pitch = float(np.clip(pitch, *cameras.pitch))
    return Viewpoint(np.array((*position, height)), pitch, roll, yaw)


def _sample_other_camera(
    centre: Array,
    aim: Array | None,
    sensor: Sensor,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> Viewpoint:
    """A camera on another side and at another distance of a point (3,) in the world."""
    cameras = config.cameras
    half = np.arctan(sensor.camera.width / 2 / sensor.camera.fx)
    min_distance, max_distance = (
        cameras.near_distance if rng.random() < cameras.near else cameras.distance
    )
    distance = float(np.exp(rng.uniform(np.log(min_distance), np.log(max_distance))))
    side = rng.uniform(0.25, 1.75) * np.pi
    back = np.array((np.sin(side), -np.cos(side)))  # of a camera that looks along `side`
    yaw = side + rng.uniform(-0.8, 0.8) * half
    return _sample_camera(centre[:2] + distance * back, yaw, aim, config, rng)


def _is_usable(scene: Scene) -> bool:
    """Whether nothing is right in front of the camera, and a person is visible if there is one."""
    camera = scene.sensor.camera
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 24), np.linspace(-0.5, 0.5, 18))
    z, mesh = scene.cast(x * camera.width / camera.fx, y * camera.height / camera.fy)
    blocked = ((z > 0) & (z < _MIN_DISTANCE) & (mesh >= 0)).mean()
    shown = not scene.people or bool((mesh[mesh >= 0] < len(scene.people)).any())
    return bool(blocked < 0.05) and shown
