"""What people hold and carry."""

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic import furniture
from depth_pose_training.data.synthetic.bodies import PARTS
from depth_pose_training.data.synthetic.config import Things
from depth_pose_training.data.synthetic.render import Mesh

Array = NDArray[np.float64]
_TRUNK = list(PARTS).index("trunk")


def carried(
    vertices: NDArray[np.float32],
    parts: Array,
    joints: Array,
    config: Things,
    rng: np.random.Generator,
) -> list[Mesh]:
    """Things in one hand or both, and on the back.

    Args:
        vertices: (V, 3) the person in the world.
        parts: (V', len(PARTS)) of the body without a skirt, V' <= V.
        joints: (19, 3) in the world.
        config: how often.
        rng: of all random choices.
    """
    made: list[Mesh] = []
    hands = {s: joints[INDEX[f"{s}Hand"]] for s in ("Left", "Right")}
    apart = hands["Left"] - hands["Right"]
    wide = float(np.linalg.norm(apart))
    if 0.15 < wide < 0.6 and abs(apart[2]) < 0.2 and rng.random() < config.both_hands:
        made.append(_between(vertices, hands["Left"], hands["Right"], joints, rng))
    else:
        for side, hand in hands.items():
            if rng.random() < config.held:
                along = hand - joints[INDEX[f"{side}Wrist"]]
                along = along / max(float(np.linalg.norm(along)), 1e-6)
                made.append(furniture.move(furniture.carried(rng, along), hand))
    if rng.random() < config.backpack:
        made.append(_backpack(vertices[: len(parts)], parts, joints, rng))
    return made


def _frame(joints: Array) -> Array:
    """(3, 3) columns: the trunk's left, backwards and up in the world."""
    up = joints[INDEX["UpperSpine"]] - joints[INDEX["DownSpine"]]
    up = up / np.linalg.norm(up)
    left = joints[INDEX["LeftShoulder"]] - joints[INDEX["RightShoulder"]]
    left = left - (left @ up) * up
    left = left / max(float(np.linalg.norm(left)), 1e-9)
    return np.stack((left, np.cross(up, left), up), axis=-1)


def _turned(mesh: Mesh, frame: Array, to: Array) -> Mesh:
    return Mesh((mesh.vertices @ frame.T + to).astype(np.float32), mesh.faces)


def _between(
    vertices: NDArray[np.float32], left: Array, right: Array, joints: Array,
    rng: np.random.Generator,
) -> Mesh:  # fmt: skip
    """A box, a tray or a ball's worth between both hands, in front of the body."""
    across = left - right
    wide = float(np.linalg.norm(across))
    across = across / wide
    away = -_frame(joints)[:, 1]
    away = away - (away @ across) * across
    away = away / max(float(np.linalg.norm(away)), 1e-9)
    frame = np.stack((across, away, np.cross(across, away)), axis=-1)
    size = np.array((wide - 0.05, rng.uniform(0.1, 0.4), rng.uniform(0.03, 0.4)))
    # The side towards the body lies just before the hands, so that it does not cut the trunk.
    centre = (left + right) / 2 + (size[1] / 2 - 0.04) * away
    return _turned(furniture.box(size), frame, centre)


def _backpack(
    vertices: NDArray[np.float32], parts: Array, joints: Array, rng: np.random.Generator
) -> Mesh:
    frame = _frame(joints)
    middle = (joints[INDEX["UpperSpine"]] + joints[INDEX["MiddleSpine"]]) / 2
    local = (vertices[parts[:, _TRUNK] > 0.5] - middle) @ frame
    near = local[(np.abs(local[:, 0]) < 0.12) & (np.abs(local[:, 2]) < 0.15)]
    back = float(near[:, 1].max()) if len(near) else 0.12
    size = rng.uniform((0.22, 0.1, 0.3), (0.36, 0.28, 0.5))
    centre = middle + frame @ np.array((0.0, back + size[1] / 2 - 0.02, -0.05))
    return _turned(furniture.box(size), frame, centre)
