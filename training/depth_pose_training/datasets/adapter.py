"""From our joints to a dataset's definition of them.

Datasets mean different points by one name: the Kinect v1 tracker's hip centre, hips and spine lie
higher than the anatomical joints.  A :class:`JointAdapter` moves our joints to theirs.  Per joint
k, in the person's own frame and scaled by the length of the torso,

    target_k = x_k + sum_n a_kn (x_n - x_k) + c_k

over the joints n next to k in the kinematic tree, with an offset c_k of three numbers.  Left and
right share their numbers, mirrored.  So few parameters can move a joint along its bones and off the
surface, but cannot repair an estimate.

The parameters are fitted on estimates for a dataset's *training* subjects; evaluation on others
reports estimates both as they are and adapted.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_pose_ros.skeleton import EDGES, INDEX, JOINTS, MIRROR, NUM_JOINTS

Array = NDArray[np.float64]

#: Joints next to each joint in the tree, by index.
NEIGHBOURS: tuple[tuple[int, ...], ...] = tuple(
    tuple(sorted(j for edge in EDGES for j in edge if k in edge and j != k))
    for k in range(NUM_JOINTS)
)
_MIRROR = np.array(MIRROR)
_MIN_TORSO = 0.05  # metres; below it a skeleton has collapsed and shows no directions
_HUBER = 0.15  # torso lengths (about 7 cm): larger residuals are errors of estimate or tracker
_ITERATIONS = 10
_FORMAT = "depth_pose joint adapter 1"


class AdapterError(ValueError):
    """Samples or a file that no adapter can be made from."""


@dataclass(frozen=True)
class JointAdapter:
    """Fitted numbers; joints that a dataset does not have are left as they are.

    Attributes:
        weights: (19, 19) a_kn, zero but for neighbours.
        offsets: (19, 3) c_k in torso lengths: to the person's left, up, and forward.
    """

    weights: Array
    offsets: Array

    @classmethod
    def fit(
        cls, estimates: ArrayLike, targets: ArrayLike, valid: ArrayLike, ridge: float = 1e-3
    ) -> "JointAdapter":
        """Ridge regression, re-weighted by Huber's rule so that failed estimates do not steer it.

        Args:
            estimates: (N, 19, 3) our joints, metres, optical frame; rows of NaN (a person not
                found) are left out.
            targets: (N, 19, 3) the dataset's joints.
            valid: (N, 19) bool, which targets to trust.
            ridge: how strongly the numbers are held towards zero, per sample.

        Raises:
            AdapterError: no usable sample at all.
        """
        ours, theirs, trusted = _samples(estimates, targets, valid)
        rotation, scale, sound = body_frames(ours)
        if not sound.any():
            raise AdapterError("no skeleton to fit an adapter to: was nobody found?")
        ours, theirs, trusted = ours[sound], theirs[sound], trusted[sound]
        to_local = np.swapaxes(rotation[sound], 1, 2) / scale[sound, None, None]
        origin = ours[:, INDEX["DownSpine"], None, :]
        local = np.einsum("nij,nkj->nki", to_local, ours - origin)
        goal = np.einsum("nij,nkj->nki", to_local, theirs - origin)
        # Every skeleton a second time as its mirror image: left and right come out alike.
        flip = np.array((-1.0, 1.0, 1.0))
        local = np.concatenate((local, local[:, _MIRROR] * flip))
        goal = np.concatenate((goal, goal[:, _MIRROR] * flip))
        trusted = np.concatenate((trusted, trusted[:, _MIRROR]))

        weights, offsets = np.zeros((NUM_JOINTS, NUM_JOINTS)), np.zeros((NUM_JOINTS, 3))
        for k, near in enumerate(NEIGHBOURS):
            rows = trusted[:, k]
            if rows.any():
                design = _design(local[rows], k)
                solution = _robust_ridge(design, goal[rows, k] - local[rows, k], ridge)
                weights[k, near], offsets[k] = solution[: len(near)], solution[len(near) :]
        return cls(weights, offsets)

    def apply(self, joints: ArrayLike) -> Array:
        """(N, 19, 3) our joints -> (N, 19, 3) the dataset's, metres, optical frame.

        A skeleton whose torso shows no direction (or of NaN) comes back as it is.
        """
        ours = np.asarray(joints, dtype=np.float64)
        rotation, scale, sound = body_frames(ours)
        moved = np.einsum("km,nmi->nki", self.weights, ours)
        moved -= self.weights.sum(1)[:, None] * ours
        moved += np.einsum("nij,kj->nki", rotation * scale[:, None, None], self.offsets)
        return np.where(sound[:, None, None], ours + moved, ours)

    def save(self, path: str | Path) -> None:
        """Write as JSON, by joint name: weights of the neighbours, and the offset."""
        joints = {
            JOINTS[k]: {
                "neighbours": {JOINTS[n]: float(self.weights[k, n]) for n in near},
                "offset": [float(c) for c in self.offsets[k]],
            }
            for k, near in enumerate(NEIGHBOURS)
        }
        text = json.dumps({"format": _FORMAT, "joints": joints}, indent=2)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "JointAdapter":
        """Read what :meth:`save` wrote.

        Raises:
            AdapterError: the file is something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise KeyError(content["format"])
            weights, offsets = np.zeros((NUM_JOINTS, NUM_JOINTS)), np.zeros((NUM_JOINTS, 3))
            for name, numbers in content["joints"].items():
                offsets[INDEX[name]] = numbers["offset"]
                for neighbour, weight in numbers["neighbours"].items():
                    weights[INDEX[name], INDEX[neighbour]] = weight
        except (KeyError, TypeError, ValueError) as error:
            raise AdapterError(f"{path} is no joint adapter of this project ({error!r})") from error
        return cls(weights, offsets)


def body_frames(joints: ArrayLike) -> tuple[Array, Array, NDArray[np.bool_]]:
    """The person's own frame, from the torso.

    Args:
        joints: (N, 19, 3) metres, optical frame.

    Returns:
        rotations (N, 3, 3), whose columns are the person's left, up and forward; torso lengths (N,)
        from DownSpine to UpperSpine in metres; and (N,) bool, where these are defined.
    """
    p = np.asarray(joints, dtype=np.float64)
    spine = p[:, INDEX["UpperSpine"]] - p[:, INDEX["DownSpine"]]
    across = sum(p[:, INDEX[f"Left{j}"]] - p[:, INDEX[f"Right{j}"]] for j in ("Shoulder", "Hip"))
    scale = np.linalg.norm(spine, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        up = spine / scale[:, None]
        left = across - (across * up).sum(-1, keepdims=True) * up
        breadth = np.linalg.norm(left, axis=-1)
        left = left / breadth[:, None]
        sound = np.isfinite(p).all((1, 2)) & (scale > _MIN_TORSO) & (breadth > _MIN_TORSO)
    rotation = np.stack((left, up, np.cross(left, up)), axis=-1)
    rotation[~sound], scale[~sound] = np.eye(3), 1.0
    return rotation, scale, sound


def _samples(
    estimates: ArrayLike, targets: ArrayLike, valid: ArrayLike
) -> tuple[Array, Array, NDArray[np.bool_]]:
    ours, theirs = np.asarray(estimates, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    trusted = np.asarray(valid, dtype=bool)
    if ours.shape[1:] != (NUM_JOINTS, 3) or theirs.shape != ours.shape:
        raise AdapterError(f"estimates {ours.shape} and targets {theirs.shape} must be (N, 19, 3)")
    if trusted.shape != ours.shape[:2]:
        raise AdapterError(f"valid must be {ours.shape[:2]}, got {trusted.shape}")
    return ours, theirs, trusted & np.isfinite(theirs).all(-1)


def _design(local: Array, joint: int) -> Array:
    """(N, 3, neighbours + 3): what multiplies the unknowns of one joint."""
    towards = local[:, NEIGHBOURS[joint]] - local[:, joint, None]
    constant = np.broadcast_to(np.eye(3), (len(local), 3, 3))
    return np.concatenate((np.swapaxes(towards, 1, 2), constant), axis=2)


def _robust_ridge(design: Array, goal: Array, ridge: float) -> Array:
    """(N, 3, P) and (N, 3) -> (P,), by iteratively re-weighted least squares."""
    penalty = ridge * len(design) * np.eye(design.shape[2])
    weight = np.ones(len(design))
    for _ in range(_ITERATIONS):
        weighted = design * weight[:, None, None]
        solution = np.linalg.solve(
            np.einsum("nip,niq->pq", weighted, design) + penalty,
            np.einsum("nip,ni->p", weighted, goal),
        )
        residual = np.linalg.norm(goal - design @ solution, axis=-1)
        weight = np.minimum(1.0, _HUBER / np.maximum(residual, 1e-12))
    return solution
