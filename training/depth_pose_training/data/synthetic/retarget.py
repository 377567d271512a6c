"""Bone rotations of the body model from a stick figure.

Each bone gets the world rotation from its rest direction to the direction in the figure.  Limbs
also keep the side of their hinge (elbow, knee), and the trunk its left-right axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from depth_pose_ros.core.skeleton import INDEX

Array = NDArray[np.float64]


def _unit(v: Array) -> Array:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _frame(first: Array, second: Array) -> Array:
    """(B, 3, 3) right-handed frames: x along ``first``, z normal to both (any, where parallel)."""
    x = _unit(first)
    normal = np.cross(x, _unit(second))
    parallel = np.linalg.norm(normal, axis=-1, keepdims=True) < 1e-4
    z = _unit(np.where(parallel, np.cross(x, np.eye(3)[np.abs(x).argmin(-1)]), normal))
    return np.stack((x, np.cross(z, x), z), axis=-1)


def _minimal(a: Array, b: Array) -> Array:
    """(B, 3, 3) smallest rotations carrying unit a onto unit b."""
    axis = np.cross(a, b)
    sin = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sin, (a * b).sum(-1))
    other = _unit(np.cross(a, np.where(np.abs(a[:, :1]) < 0.9, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))))
    axis = np.where(sin[:, None] > 1e-6, axis / np.maximum(sin, 1e-9)[:, None], other)
    return Rotation.from_rotvec(axis * angle[:, None]).as_matrix()


def _partway(a: Array, b: Array, t: float) -> Array:
    """Rotation t of the way from a to b."""
    step = Rotation.from_matrix(np.swapaxes(a, -1, -2) @ b).as_rotvec()
    return a @ Rotation.from_rotvec(t * step).as_matrix()


def _twist(axis: Array, angle: Array) -> Array:
    return Rotation.from_rotvec(_unit(axis) * angle[:, None]).as_matrix()


@dataclass(frozen=True)
class Details:
    """Rotations that a stick figure does not define; axis 1 is (left, right).

    Attributes:
        head_turn: (B,) radians about the vertical.
        pronation: (B, 2) radians of forearm twist, positive palm forwards.
        wrist: (B, 2, 3) rotation vectors added at the wrists.
        curl: (B, 2) radians per finger joint.
        foot: (B, 2) radians about the ankle.
    """

    head_turn: Array
    pronation: Array
    wrist: Array
    curl: Array
    foot: Array

    @classmethod
    def sample(cls, n: int, rng: np.random.Generator) -> "Details":
        """Random details of n poses."""
        open_hand = rng.random((n, 2)) < 0.5
        curl = np.where(open_hand, rng.uniform(0, 0.4, (n, 2)), rng.uniform(0.4, 1.4, (n, 2)))
        return cls(
            rng.normal(0, 0.4, n),
            rng.uniform(-1.4, 1.0, (n, 2)),
            rng.normal(0, 0.25, (n, 2, 3)),
            curl,
            rng.normal(0, 0.2, (n, 2)),
        )

    @classmethod
    def relaxed(cls, n: int) -> "Details":
        """The same relaxed details for the n poses of a motion."""
        return cls(
            np.zeros(n), np.zeros((n, 2)), np.zeros((n, 2, 3)), np.full((n, 2), 0.3),
            np.zeros((n, 2)),
        )  # fmt: skip


class Retargeter:
    """Computes bone rotations of one rig from stick figures.

    Args:
        bones: the rig's bone names.
    """

    def __init__(self, bones: Sequence[str]) -> None:
        self._index = {b: i for i, b in enumerate(bones)}

    def __call__(self, figure: Array, rest: Array, heads: Array, details: Details) -> Array:
        """World rotations of every bone, relative to the rest pose.

        Args:
            figure: (B, 19, 3) stick figures, z up.
            rest: (B, 19, 3) joints of each body at rest.
            heads: (B, bones, 3) bone heads at rest.
            details: of the poses.

        Returns:
            (B, bones, 3, 3).
        """
        n = len(figure)
        g = np.tile(np.eye(3), (n, len(self._index), 1, 1))

        def between(p: Array, a: str, b: str) -> Array:
            return p[:, INDEX[b]] - p[:, INDEX[a]]

        def matched(a: tuple[str, str], b: tuple[str, str]) -> Array:
            return _frame(between(figure, *a), between(figure, *b)) @ np.swapaxes(
                _frame(between(rest, *a), between(rest, *b)), -1, -2
            )

        def put(rotation: Array, *names: str) -> None:
            for name in names:
                g[:, self._index[name]] = rotation

        pelvis = matched(("RightHip", "LeftHip"), ("DownSpine", "MiddleSpine"))
        chest = matched(("RightShoulder", "LeftShoulder"), ("MiddleSpine", "UpperSpine"))
        put(pelvis, "root", "pelvis.L", "pelvis.R")
        for name, t in zip(
            ("spine05", "spine04", "spine03", "spine02", "spine01"),
            (0.1, 0.3, 0.55, 0.8, 1.0),
            strict=True,
        ):
            put(_partway(pelvis, chest, t), name)
        carried = (chest @ _unit(between(rest, "Neck", "Head"))[..., None])[..., 0]
        nod = _minimal(carried, _unit(between(figure, "Neck", "Head"))) @ chest
        turn = nod @ _twist(np.tile((0.0, 0.0, 1.0), (n, 1)), details.head_turn)
        for name, t in (("neck01", 0.3), ("neck02", 0.5), ("neck03", 0.8), ("head", 1.0)):
            put(_partway(chest, turn, t), name)
        put(turn, "eye.L", "eye.R")
        for side in ("Left", "Right"):
            self._arm(g, figure, rest, heads, chest, side, details)
            self._leg(g, figure, rest, pelvis, side, details)
        return g

    @staticmethod
    def _limb(
        figure: Array, rest: Array, parent: Array, chain: tuple[str, str, str]
    ) -> tuple[Array, Array]:
        """World rotations of a two-bone limb: hinge-matched where it bends, else minimal."""
        a, b, c = (INDEX[k] for k in chain)
        rest1, rest2 = _unit(rest[:, b] - rest[:, a]), _unit(rest[:, c] - rest[:, b])
        to1, to2 = _unit(figure[:, b] - figure[:, a]), _unit(figure[:, c] - figure[:, b])
        carried = (parent @ rest1[..., None])[..., 0]
        plain = _minimal(carried, to1) @ parent
        hinged = _frame(to1, to2) @ np.swapaxes(_frame(rest1, rest2), -1, -2)
        bend = np.linalg.norm(np.cross(to1, to2), axis=-1)
        # Blend over 10 to 30 degrees of flexion, so that the hinge of a nearly straight limb,
        # which is noise, does not spin it.
        weight = np.clip((bend - 0.17) / 0.33, 0.0, 1.0)
        step = Rotation.from_matrix(np.swapaxes(plain, -1, -2) @ hinged).as_rotvec()
        first = plain @ Rotation.from_rotvec(weight[:, None] * step).as_matrix()
        second = _minimal(_unit((first @ rest2[..., None])[..., 0]), to2) @ first
        return first, second

    def _arm(
        self,
        g: Array,
        figure: Array,
        rest: Array,
        heads: Array,
        chest: Array,
        side: str,
        details: Details,
    ) -> None:
        s, which = side[0], 0 if side == "Left" else 1
        at = self._index
        upper, fore = self._limb(
            figure, rest, chest, (f"{side}Shoulder", f"{side}Elbow", f"{side}Wrist")
        )
        lift = _partway(chest, upper, 0.12)
        g[:, at[f"clavicle.{s}"]] = lift
        g[:, at[f"shoulder01.{s}"]] = lift
        g[:, at[f"upperarm01.{s}"]] = _partway(lift, upper, 0.85)
        g[:, at[f"upperarm02.{s}"]] = upper
        axis = rest[:, INDEX[f"{side}Wrist"]] - rest[:, INDEX[f"{side}Elbow"]]
        pronation = details.pronation[:, which] * (1 if s == "L" else -1)
        g[:, at[f"lowerarm01.{s}"]] = fore @ _twist(axis, 0.25 * pronation)
        g[:, at[f"lowerarm02.{s}"]] = fore @ _twist(axis, 0.7 * pronation)
        turned = fore @ _twist(axis, pronation)
        rest_hand = _unit(heads[:, at[f"finger3-1.{s}"]] - heads[:, at[f"wrist.{s}"]])
        to_hand = _unit(figure[:, INDEX[f"{side}Hand"]] - figure[:, INDEX[f"{side}Wrist"]])
        straight = (turned @ rest_hand[..., None])[..., 0]
        # Some motion files have the hand at the wrist: then the hand continues the forearm.
        length = np.linalg.norm(
            figure[:, INDEX[f"{side}Hand"]] - figure[:, INDEX[f"{side}Wrist"]], axis=-1
        )
        to_hand = np.where((length > 0.03)[:, None], to_hand, straight)
        flex = Rotation.from_rotvec(details.wrist[:, which]).as_matrix()
        wrist = flex @ _partway(turned, _minimal(straight, to_hand) @ turned, 0.8)
        g[:, at[f"wrist.{s}"]] = wrist
        across = heads[:, at[f"finger5-1.{s}"]] - heads[:, at[f"finger2-1.{s}"]]
        # The palm faces down at rest; curling turns the fingers towards it.
        sign = np.where(np.cross(across, rest_hand)[:, 2] < 0, 1.0, -1.0)
        for bone, i in at.items():
            if not bone.endswith(f".{s}") or not bone.startswith(("finger", "metacarpal")):
                continue
            bends = 0.0 if bone.startswith("metacarpal") else float(bone.split("-")[1][0])
            if bone.startswith("finger1"):
                bends *= 0.3
            g[:, i] = wrist @ _twist(across, sign * details.curl[:, which] * bends)

    def _leg(
        self,
        g: Array,
        figure: Array,
        rest: Array,
        pelvis: Array,
        side: str,
        details: Details,
    ) -> None:
        s, which = side[0], 0 if side == "Left" else 1
        thigh, shin = self._limb(figure, rest, pelvis, (f"{side}Hip", f"{side}Knee", f"{side}Foot"))
        foot = shin @ Rotation.from_euler("x", details.foot[:, which : which + 1]).as_matrix()
        for bone, i in self._index.items():
            if not bone.endswith(f".{s}"):
                continue
            if bone.startswith("upperleg"):
                g[:, i] = thigh if bone.startswith("upperleg02") else _partway(pelvis, thigh, 0.9)
            elif bone.startswith("lowerleg"):
                g[:, i] = shin
            elif bone.startswith(("foot", "toe")):
                g[:, i] = foot
