"""A furnished scene with people in it, seen by one camera or by several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic import furniture, props, seats
from depth_pose_training.data.synthetic.bodies import Body
from depth_pose_training.data.synthetic.clothes import Tailor
from depth_pose_training.data.synthetic.config import GeneratorConfig
from depth_pose_training.data.synthetic.render import Mesh, Plane, Renderer, Viewpoint
from depth_pose_training.data.synthetic.room import floor_and_ceiling, walls
from depth_pose_training.data.synthetic.sensor import SENSORS, Sensor

Array = NDArray[np.float64]
_SPINE = INDEX["MiddleSpine"]
_VOXEL = 0.05  #: metres: bodies that share a cube of this size interpenetrate
_TRIES = 8
_NEAR_LIMIT = 0.45  #: metres: hardly anything may be nearer than this to a camera


@dataclass(frozen=True)
class Person:
    """A body as one camera sees it: joints (19, 3) in the camera's optical frame, metres."""

    joints: Array
    mode: str


@dataclass(frozen=True)
class Scene:
    """Everything one camera sees.  Mesh i of the renderer is person i; the rest comes after."""

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
class _Placed:
    """A dressed body in the world."""

    mesh: Mesh
    joints: Array
    mode: str
    yaw: float
    voxels: NDArray[np.int64]


def views(
    bodies: Sequence[tuple[Body, str]],
    tailor: Tailor,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> list[Scene]:
    """A random scene with these bodies (none: an empty room), seen from several places.

    People whose place is taken are left out; a view that has too much right before its camera is,
    too, but for the first.

    Args:
        bodies: posed bodies and the mode of each pose.
        tailor: dresses them.
        config: see ``synthetic.yaml``.
        rng: of all random choices.
    """
    sensor = _sensor(config, rng)
    people, extras = _people(bodies, tailor, config, sensor, rng)
    depth = float(people[0].joints[_SPINE, 1]) if people else float(rng.uniform(1.5, 4.5))
    extras += _surroundings(people, extras, depth, config, rng)
    meshes = [p.mesh for p in people] + extras
    renderer = Renderer(meshes)
    tallest = max((float(m.vertices[:, 2].max()) for m in meshes), default=0.0)
    level = floor_and_ceiling(config.room, tallest, rng)
    keep = np.concatenate([np.zeros((0, 3), np.float32)] + [p.mesh.vertices for p in people])
    made = []
    for i in range(config.cameras.views):
        who = int(rng.integers(len(people))) if people else -1
        centre = people[who].joints[_SPINE] if people else np.array((0.0, depth, 1.0))
        if i == 0:
            viewpoint = _camera(np.zeros(2), 0.0, people[0].joints if people else None, config, rng)
        else:
            sensor = _sensor(config, rng)
            viewpoint = _elsewhere(centre, people[who].joints if people else None, sensor, config,
                                   rng)  # fmt: skip
        target = people[0].joints[_SPINE] if i == 0 and people else centre
        planes = level + walls(viewpoint, target, keep, config.room, rng)
        scene = Scene(
            [Person(viewpoint.to_optical(p.joints), p.mode) for p in people],
            renderer, viewpoint, sensor, planes,
        )  # fmt: skip
        if i == 0 or _free_sight(scene):
            made.append(scene)
    return made


def _sensor(config: GeneratorConfig, rng: np.random.Generator) -> Sensor:
    shares = config.cameras.sensors
    name = str(rng.choice(list(shares), p=list(shares.values())))
    return next(s for s in SENSORS if s.name == name)


def _people(
    bodies: Sequence[tuple[Body, str]],
    tailor: Tailor,
    config: GeneratorConfig,
    sensor: Sensor,
    rng: np.random.Generator,
) -> tuple[list[_Placed], list[Mesh]]:
    """Everybody with what they hold and sit on, nobody inside anybody or anything else."""
    people: list[_Placed] = []
    extras: list[Mesh] = []
    for body, mode in bodies:
        dressed = tailor.dress(body, rng)
        for x, y in _places([p.joints for p in people], sensor, config, rng):
            facing = -np.arctan2(x, y)
            turned = rng.normal(0, 0.7) if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi)
            on_bed = mode == "lying" and rng.random() < config.room.bed
            lift = float(rng.uniform(0.2, 0.7)) if on_bed else 0.0
            placed = _stand(dressed, body.joints, mode, x, y, facing + turned, lift)
            if any(np.isin(placed.voxels, p.voxels).any() for p in people):
                continue
            own = _belongings(placed, tailor, config, lift, rng)
            others = [p.mesh.vertices for p in people]
            if any(_inside(placed.mesh.vertices, e) for e in extras) or any(
                _inside(v, e) for e in own for v in others
            ):
                continue
            people.append(placed)
            extras += own
            break
    return people, extras


def _stand(
    dressed: Mesh, joints: Array, mode: str, x: float, y: float, yaw: float, lift: float
) -> _Placed:
    turn = Rotation.from_euler("z", yaw).as_matrix()
    vertices, joints = dressed.vertices @ turn.T.astype(np.float32), joints @ turn.T
    root = joints[INDEX["DownSpine"]]
    shift = np.array((x - root[0], y - root[1], lift - float(vertices[:, 2].min())))
    vertices = (vertices + shift).astype(np.float32)
    cell = np.floor(vertices / _VOXEL).astype(np.int64)
    code = np.unique((cell[:, 0] * 100003 + cell[:, 1]) * 100003 + cell[:, 2])
    return _Placed(Mesh(vertices, dressed.faces), joints + shift, mode, yaw, code)


def _inside(vertices: NDArray[np.float32], piece: Mesh, margin: float = 0.0) -> bool:
    """Whether any vertex lies in the box around a piece."""
    low, high = piece.vertices.min(0) - margin, piece.vertices.max(0) + margin
    return bool(((vertices > low) & (vertices < high)).all(1).any())


def _places(
    others: Sequence[Array], sensor: Sensor, config: GeneratorConfig, rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """A few floor positions to try for one more person, in sight of a camera that looks along +y
    from the origin."""
    half = np.arctan(sensor.camera.width / 2 / sensor.camera.fx)
    cameras = config.cameras
    for _ in range(_TRIES):
        if not others:
            near = rng.random() < cameras.near
            nearest, farthest = cameras.near_distance if near else cameras.distance
            r = float(np.exp(rng.uniform(np.log(nearest), np.log(farthest))))
            a = rng.uniform(-0.8, 0.8) * half
            yield r * np.sin(a), r * np.cos(a)
            continue
        first = others[0][INDEX["DownSpine"]]
        if rng.random() < 0.65:  # close company
            r, a = rng.uniform(0.4, 1.1), rng.uniform(-np.pi, np.pi)
            x, y = float(first[0] + r * np.cos(a)), float(first[1] + r * np.sin(a))
        else:
            r, a = rng.uniform(1.0, 5.2), rng.uniform(-0.9, 0.9) * half
            x, y = r * np.sin(a), r * np.cos(a)
        if y > 0.7:
            yield x, y


def _belongings(
    p: _Placed, tailor: Tailor, config: GeneratorConfig, lift: float, rng: np.random.Generator
) -> list[Mesh]:
    """What a person holds, carries, sits or lies on."""
    made = props.carried(p.mesh.vertices, tailor.model.parts, p.joints, config.things, rng)
    if lift:
        low, high = p.mesh.vertices[:, :2].min(0), p.mesh.vertices[:, :2].max(0)
        size = (*(high - low + rng.uniform(0.1, 0.5, 2)), lift)
        made.append(furniture.box(size, (*(low + high) / 2, lift / 2)))
    if p.mode == "sitting":
        if rng.random() < config.room.seat:
            seat = seats.seat(p.mesh.vertices, tailor.model.parts, p.joints, p.yaw, rng)
            made += [] if seat is None else [seat]
        if rng.random() < config.things.table:
            table = seats.table(p.mesh.vertices, p.joints, p.yaw, rng)
            made += [] if table is None else [table]
    return made


def _surroundings(
    people: Sequence[_Placed],
    taken: Sequence[Mesh],
    depth: float,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> list[Mesh]:
    """Furniture that touches nobody."""
    made: list[Mesh] = []
    wanted = [
        (furniture.piece(rng), rng.uniform(-2.5, 2.5), rng.uniform(0.6, depth + 2.5))
        for _ in range(int(rng.poisson(config.room.pieces)))
    ]
    if people and rng.random() < config.things.occluder:  # between camera and first person
        px, py, _ = people[0].joints[INDEX["DownSpine"]]
        t = rng.uniform(0.45, 0.85)
        maker = furniture.table if rng.random() < 0.5 else furniture.piece
        wanted.append((maker(rng), px * t + rng.normal(0, 0.3), py * t))
    for piece, x, y in wanted:
        moved = furniture.move(piece, (x, y, 0))
        if np.hypot(x, y) > 0.9 and not any(
            _inside(p.mesh.vertices, moved, margin=0.03) for p in people
        ):
            made.append(moved)
    return made


def _camera(
    place: Array, yaw: float, aim: Array | None, config: GeneratorConfig, rng: np.random.Generator
) -> Viewpoint:
    """A camera on a floor position (2,); ``aim`` is the joints of whom it may be tilted at."""
    cameras = config.cameras
    height = float(rng.uniform(*cameras.height))
    pitch = rng.normal(-0.03, cameras.level_sigma)
    if aim is not None and rng.random() < cameras.aimed:
        x, y, z = aim[_SPINE] - (*place, height)
        pitch = np.arctan2(z, np.hypot(x, y)) + rng.normal(0, cameras.aim_sigma)
    roll = float(rng.normal(0, cameras.roll_sigma))
    pitch = float(np.clip(pitch, *cameras.pitch))
    return Viewpoint(np.array((*place, height)), pitch, roll, yaw)


def _elsewhere(
    centre: Array,
    aim: Array | None,
    sensor: Sensor,
    config: GeneratorConfig,
    rng: np.random.Generator,
) -> Viewpoint:
    """A camera on another side and at another distance of a point (3,) in the world."""
    cameras = config.cameras
    half = np.arctan(sensor.camera.width / 2 / sensor.camera.fx)
    nearest, farthest = cameras.near_distance if rng.random() < cameras.near else cameras.distance
    distance = float(np.exp(rng.uniform(np.log(nearest), np.log(farthest))))
    side = rng.uniform(0.25, 1.75) * np.pi
    back = np.array((np.sin(side), -np.cos(side)))  # of a camera that looks along `side`
    yaw = side + rng.uniform(-0.8, 0.8) * half
    return _camera(centre[:2] + distance * back, yaw, aim, config, rng)


def _free_sight(scene: Scene) -> bool:
    """Whether there is room before the camera, and somebody (or nobody at all) is in sight."""
    camera = scene.sensor.camera
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 24), np.linspace(-0.5, 0.5, 18))
    z, mesh = scene.cast(x * camera.width / camera.fx, y * camera.height / camera.fy)
    blocked = ((z > 0) & (z < _NEAR_LIMIT) & (mesh >= 0)).mean()
    shown = not scene.people or bool((mesh[mesh >= 0] < len(scene.people)).any())
    return bool(blocked < 0.05) and shown
