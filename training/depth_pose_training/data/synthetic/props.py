"""Objects of people: held and carried ones, seats, and tables in front of seated people."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic import room
from depth_pose_training.data.synthetic.bodies import PARTS
from depth_pose_training.data.synthetic.config import ObjectsConfig
from depth_pose_training.data.synthetic.render import Mesh

Array = NDArray[np.float64]
_PART = {name: i for i, name in enumerate(PARTS)}
_MIN_SEAT = 0.15  #: metres: a lower body is on the floor
_SINK = 0.015  #: metres that a seat yields


def carried_objects(
    vertices: NDArray[np.float32],
    parts: Array,
    joints: Array,
    config: ObjectsConfig,
    rng: np.random.Generator,
) -> list[Mesh]:
    """Objects in one hand or both hands, and on the back.

    Args:
        vertices: (V, 3) surface of the person in the world.
        parts: (V', len(PARTS)) of the body without a skirt, V' <= V.
        joints: (19, 3) in the world.
        config: probabilities.
        rng: random generator.
    """
    made: list[Mesh] = []
    hands = {s: joints[INDEX[f"{s}Hand"]] for s in ("Left", "Right")}
    apart = hands["Left"] - hands["Right"]
    wide = float(np.linalg.norm(apart))
    if 0.15 < wide < 0.6 and abs(apart[2]) < 0.2 and rng.random() < config.both_hands:
        made.append(_two_handed(vertices, hands["Left"], hands["Right"], joints, rng))
    else:
        for side, hand in hands.items():
            if rng.random() < config.held:
                along = hand - joints[INDEX[f"{side}Wrist"]]
                along = along / max(float(np.linalg.norm(along)), 1e-6)
                made.append(room.move(room.held_object(rng, along), hand))
    if rng.random() < config.backpack:
        made.append(_backpack(vertices[: len(parts)], parts, joints, rng))
    return made


def _frame(joints: Array) -> Array:
    """(3, 3) columns: left, back and up of the trunk in the world."""
    up = joints[INDEX["UpperSpine"]] - joints[INDEX["DownSpine"]]
    up = up / np.linalg.norm(up)
    left = joints[INDEX["LeftShoulder"]] - joints[INDEX["RightShoulder"]]
    left = left - (left @ up) * up
    left = left / max(float(np.linalg.norm(left)), 1e-9)
    return np.stack((left, np.cross(up, left), up), axis=-1)


def _transform(mesh: Mesh, frame: Array, to: Array) -> Mesh:
    return Mesh((mesh.vertices @ frame.T + to).astype(np.float32), mesh.faces)


def _two_handed(
    vertices: NDArray[np.float32], left: Array, right: Array, joints: Array,
    rng: np.random.Generator,
) -> Mesh:  # fmt: skip
    """A box between both hands, in front of the body."""
    across = left - right
    wide = float(np.linalg.norm(across))
    across = across / wide
    away = -_frame(joints)[:, 1]
    away = away - (away @ across) * across
    away = away / max(float(np.linalg.norm(away)), 1e-9)
    frame = np.stack((across, away, np.cross(across, away)), axis=-1)
    size = np.array((wide - 0.05, rng.uniform(0.1, 0.4), rng.uniform(0.03, 0.4)))
    # The near side lies just in front of the hands, so that the box does not cut the trunk.
    centre = (left + right) / 2 + (size[1] / 2 - 0.04) * away
    return _transform(room.box(size), frame, centre)


def _backpack(
    vertices: NDArray[np.float32], parts: Array, joints: Array, rng: np.random.Generator
) -> Mesh:
    frame = _frame(joints)
    middle = (joints[INDEX["UpperSpine"]] + joints[INDEX["MiddleSpine"]]) / 2
    local = (vertices[parts[:, _PART["trunk"]] > 0.5] - middle) @ frame
    near = local[(np.abs(local[:, 0]) < 0.12) & (np.abs(local[:, 2]) < 0.15)]
    back = float(near[:, 1].max()) if len(near) else 0.12
    size = rng.uniform((0.22, 0.1, 0.3), (0.36, 0.28, 0.5))
    centre = middle + frame @ np.array((0.0, back + size[1] / 2 - 0.02, -0.05))
    return _transform(room.box(size), frame, centre)


def seat(
    vertices: NDArray[np.float32], parts: Array, joints: Array, yaw: float, rng: np.random.Generator
) -> Mesh | None:
    """A chair, a sofa or a block below thighs and buttocks, with a backrest behind the back.

    Args:
        vertices: (V, 3) surface of the person in the world.
        parts: (V', len(PARTS)) of the body without a skirt, V' <= V.
        joints: (19, 3) in the world.
        yaw: of the person; upright people of yaw 0 face -y.
        rng: random generator.

    Returns:
        None if the pose leaves no space for a seat.
    """
    hips = joints[[INDEX["LeftHip"], INDEX["RightHip"]]].mean(0)
    turn = Rotation.from_euler("z", yaw).as_matrix()
    v = (vertices[: len(parts)] - (hips[0], hips[1], 0)) @ turn
    knees = (joints[[INDEX["LeftKnee"], INDEX["RightKnee"]]] - (hips[0], hips[1], 0)) @ turn
    main = parts.argmax(1)
    below = v[np.isin(main, (_PART["thigh"], _PART["trunk"])) & (np.abs(v[:, 1]) < 0.22)]
    shins = v[np.isin(main, (_PART["shin"], _PART["foot"]))]
    trunk = v[main == _PART["trunk"]]
    if len(below) == 0:
        return None
    top = float(below[:, 2].min()) + _SINK
    if top < _MIN_SEAT:
        return None
    rump = trunk[trunk[:, 2] < top + 0.15]
    back = float(rump[:, 1].max()) if len(rump) else 0.15
    # The block must not contain a shin or foot.
    low = shins[(shins[:, 2] < top) & (np.abs(shins[:, 0]) < 0.45)]
    behind_shins = float(low[:, 1].max()) if len(low) else -0.4
    front = max(min(float(knees[:, 1].min()), -0.1) + 0.05, -0.6)
    kind = rng.random()
    if behind_shins > front and kind >= 0.45:
        front = behind_shins + 0.02
    if back - front < 0.2:
        return None
    rest = trunk[(trunk[:, 2] > top + 0.1)]
    lean = max(back, float(rest[:, 1].max()) if len(rest) else back) + 0.01
    width = float(np.ptp(below[:, 0]))
    if kind < 0.45:
        made = _chair(width, front, back, lean, top, rng)
    elif kind < 0.7 and lean - back < 0.15:
        made = _sofa(v, width, front, lean, top, rng)
    else:
        w = width + rng.uniform(-0.05, 0.4)
        made = room.box((w, back - front, top), (0, (front + back) / 2, top / 2))
    return room.move(made, (hips[0], hips[1], 0), yaw)


def _chair(
    width: float, front: float, back: float, lean: float, top: float, rng: np.random.Generator
) -> Mesh:
    w, middle, depth = max(width, 0.38), (front + back) / 2, back - front
    parts = [room.box((w, depth, 0.05), (0, middle, top - 0.025))]
    if lean - back < 0.3 and rng.random() < 0.8:
        high = rng.uniform(0.2, 0.7)
        parts.append(room.box((w, 0.05, high), (0, lean + 0.025, top + high / 2)))
    if rng.random() < 0.5:  # legs at the corners; those at the front are behind the shins
        parts += [
            room.box((0.04, 0.04, top - 0.05), (s * (w / 2 - 0.03), y, (top - 0.05) / 2))
            for s in (-1, 1)
            for y in (max(front + 0.03, middle), lean)
        ]
    else:
        foot = room.box((0.5 * w, 0.4 * depth, 0.04), (0, back - 0.2 * depth, 0.02))
        parts += [room.box((0.08, 0.08, top), (0, back - 0.3 * depth, top / 2)), foot]
    return room.join(parts)


def _sofa(
    v: Array, width: float, front: float, lean: float, top: float, rng: np.random.Generator
) -> Mesh:
    w, high = width + rng.uniform(0.2, 1.2), rng.uniform(0.25, 0.6)
    parts = [
        room.box((w, lean - front, top), (0, (front + lean) / 2, top / 2)),
        room.box((w, 0.2, top + high), (0, lean + 0.1, (top + high) / 2)),
    ]
    for s in (-1, 1):
        x, h = s * (w / 2 + 0.08), top + 0.2
        near = (np.abs(v[:, 0] - x) < 0.1) & (v[:, 2] < h) & (v[:, 1] > front)
        if not near.any():  # no elbow or knee in the armrest
            parts.append(room.box((0.16, lean - front, h), (x, (front + lean) / 2, h / 2)))
    return room.join(parts)


def table(
    vertices: NDArray[np.float32], joints: Array, yaw: float, rng: np.random.Generator
) -> Mesh | None:
    """A table in front of a seated person, above the thighs; None if there is no space."""
    hips = joints[[INDEX["LeftHip"], INDEX["RightHip"]]].mean(0)
    turn = Rotation.from_euler("z", yaw).as_matrix()
    v = (vertices - (hips[0], hips[1], 0)) @ turn
    legs = v[v[:, 1] < -0.15]
    shoulder = float(joints[INDEX["UpperSpine"], 2])
    high = float(rng.uniform(0.6, 0.85))
    if not hips[2] + 0.1 < high < shoulder or len(legs) == 0:
        return None
    slab = (v[:, 2] > high - 0.05) & (v[:, 2] < high + 0.03)
    # The edge is in front of everything at the height of the table top.
    edge = min(-0.2, float(v[slab, 1].min()) - 0.02) if slab.any() else -0.25
    if edge < -0.8:
        return None
    w, d = rng.uniform(0.7, 1.6), rng.uniform(0.5, 0.8)
    parts = [room.box((w, d, 0.03), (0, edge - d / 2, high - 0.015))]
    for s in (-1, 1):
        parts.append(room.box((0.05, d, high - 0.03), (s * w / 2, edge - d / 2, high / 2)))
    reach = np.abs(np.abs(v[:, 0]) - w / 2) < 0.05
    if (reach & (v[:, 2] < high) & (v[:, 1] < edge)).any():
        return None  # a foot is in the way
    return room.move(room.join(parts), (hips[0], hips[1], 0), yaw)
