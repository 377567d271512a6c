"""Transform of joints to a dataset's joint definitions.

Datasets define joints of the same name differently: the hip centre, hips and spine of the Kinect v1
tracker lie higher than the anatomical joints.  A :class:`JointAdapter` moves joints to
them.  Per joint k, in the person's own frame and scaled by the length of the torso,

    target_k = x_k + c_k + s g_k + a_k (x_p - x_k)

with an offset c_k of three numbers, three more g_k that say how it grows with the person's size s,
and, for the joints of a limb, a share a_k of the way to the upper end p of the limb's bone.  Size
is the total length of all bones relative to a reference: the body model of a tracker varies less
than people do.  Left and right have the same parameters, mirrored.  The adapter must not improve
estimates: it has no other inputs that could average out their noise, and ridge terms regularize a_k
and g_k.  They are larger than the variance of the noise and smaller than that of bone directions
and body sizes.

The parameters are fitted on estimates of the *training* subjects of a dataset; evaluation on other
subjects reports both raw and adapted estimates.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depth_pose_ros.core.body_plausibility import bone_lengths
from depth_pose_ros.core.skeleton import FLIP_INDEX, INDEX, JOINTS, NUM_JOINTS
from depth_pose_training.engine.checkpoints import write_text
from depth_pose_training.errors import UserError

Array = NDArray[np.float64]

_UPPER_END = {"Elbow": "Shoulder", "Wrist": "Elbow", "Hand": "Elbow", "Knee": "Hip", "Foot": "Knee"}
_LIMB_PARTS = [(side, part) for side in ("Left", "Right") for part in _UPPER_END]
#: For a limb's joint the joint at the upper end of its bone, by index; itself for others.
TOWARDS: tuple[int, ...] = tuple(
    next((INDEX[s + _UPPER_END[p]] for s, p in _LIMB_PARTS if s + p == name), k)
    for k, name in enumerate(JOINTS)
)
_TOWARDS = np.array(TOWARDS)
_FLIP_INDEX = np.array(FLIP_INDEX)
_MIN_TORSO = 0.05  # metres; shorter torsos have no defined directions
_HUBER = 0.15  # torso lengths (about 7 cm): larger residuals are outliers
_ITERATIONS = 10
_SIZE = 4.0  # metres: total bone length of a person of 1.7 m
_SIZE_RIDGE = 1e-4  # a noise of 1 % in size; people differ by 5 % and more
_FORMAT = "depth_pose joint adapter 2"
#: Default number of frames for fitting.  With 300 frames of UTD-MHAD the uncertainty is 0.3 points
#: of average PDJ, with 600 frames 0.15.
ENOUGH_FRAMES = 1800


class AdapterError(UserError):
    """Unusable samples, or a file that is not an adapter."""


@dataclass(frozen=True)
class JointAdapter:
    """Fitted parameters; joints that a dataset does not have are not moved.

    Attributes:
        shares: (19,) a_k, zero for the joints of the torso.
        offsets: (19, 3) c_k in torso lengths: to the person's left, up, and forward.
        growths: (19, 3) g_k in the same units.
        sizes: minimum and maximum s of the fit; s is clipped to them.
    """

    shares: Array
    offsets: Array
    growths: Array
    sizes: tuple[float, float]

    @classmethod
    def fit(
        cls, estimates: ArrayLike, targets: ArrayLike, valid: ArrayLike, ridge: float = 0.03
    ) -> "JointAdapter":
        """Ridge regression with Huber weights, robust to failed estimates.

        Args:
            estimates: (N, 19, 3) joints, metres, optical frame; rows with NaN (no detection) are
                ignored.
            targets: (N, 19, 3) the dataset's joints.
            valid: (N, 19) bool, trusted targets.
            ridge: regularization of the shares, per sample, in squared torso lengths
                (0.03 is a noise of 8 cm; a limb's direction varies by about 0.25).

        Raises:
            AdapterError: no usable sample at all.
        """
        ours, theirs, trusted = _samples(estimates, targets, valid)
        rotation, scale, sound = body_frames(ours)
        if not sound.any():
            raise AdapterError("no skeleton to fit an adapter to: no person was detected")
        ours, theirs, trusted = ours[sound], theirs[sound], trusted[sound]
        to_local = np.swapaxes(rotation[sound], 1, 2) / scale[sound, None, None]
        origin = ours[:, INDEX["DownSpine"], None, :]
        local = np.einsum("nij,nkj->nki", to_local, ours - origin)
        goal = np.einsum("nij,nkj->nki", to_local, theirs - origin)
        # Mirrored copies of all skeletons make left and right symmetric.
        flip = np.array((-1.0, 1.0, 1.0))
        local = np.concatenate((local, local[:, _FLIP_INDEX] * flip))
        goal = np.concatenate((goal, goal[:, _FLIP_INDEX] * flip))
        trusted = np.concatenate((trusted, trusted[:, _FLIP_INDEX]))

        bones = local[:, _TOWARDS] - local
        size = _relative_size(ours)
        min_size, max_size = (float(v) for v in np.percentile(size, (1, 99)))
        size = np.tile(size, 2)
        shares = np.zeros(NUM_JOINTS)
        offsets, growths = np.zeros((2, NUM_JOINTS, 3))
        for k in range(NUM_JOINTS):
            rows = trusted[:, k]
            if rows.any():
                difference = goal[rows, k] - local[rows, k]
                solution = _robust_ridge(bones[rows, k], size[rows], difference, ridge)
                shares[k], offsets[k], growths[k] = solution
        return cls(shares, offsets, growths, (min_size, max_size))

    def apply(self, joints: ArrayLike) -> Array:
        """(N, 19, 3) joints -> (N, 19, 3) the dataset's joints, metres, optical frame.

        Skeletons with NaN or an undefined torso direction are returned unchanged.
        """
        ours = np.asarray(joints, dtype=np.float64)
        rotation, scale, sound = body_frames(ours)
        size = np.clip(_relative_size(ours), *self.sizes)
        offsets = self.offsets + size[:, None, None] * self.growths
        moved = self.shares[:, None] * (ours[:, _TOWARDS] - ours)
        moved += np.einsum("nij,nkj->nki", rotation * scale[:, None, None], offsets)
        return np.where(sound[:, None, None], ours + moved, ours)

    def save(self, path: str | Path) -> None:
        """Write as JSON: the sizes, and by joint name share, offset and growth."""
        joints = {
            name: {"share": float(a), "offset": c.tolist(), "growth": g.tolist()}
            for name, a, c, g in zip(JOINTS, self.shares, self.offsets, self.growths, strict=True)
        }
        content = {"format": _FORMAT, "sizes": list(self.sizes), "joints": joints}
        text = json.dumps(content, indent=2)
        write_text(Path(path), text + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "JointAdapter":
        """Read what :meth:`save` wrote.

        Raises:
            AdapterError: the file is not an adapter.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise KeyError(content["format"])
            rows = [content["joints"][name] for name in JOINTS]
            shares = np.array([float(row["share"]) for row in rows])
            offsets, growths = (
                np.array([row[key] for row in rows], dtype=np.float64)
                for key in ("offset", "growth")
            )
            if not offsets.shape == growths.shape == (NUM_JOINTS, 3):
                raise ValueError(f"offsets of shape {offsets.shape}, growths {growths.shape}")
            min_size, max_size = (float(v) for v in content["sizes"])
        except (KeyError, TypeError, ValueError) as error:
            raise AdapterError(f"{path} is not a joint adapter ({error!r})") from error
        return cls(shares, offsets, growths, (min_size, max_size))


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


def _relative_size(joints: Array) -> Array:
    """(N, 19, 3) -> (N,) s: the length of all bones over the reference's, less one."""
    return np.asarray(bone_lengths(joints).sum(1) / _SIZE - 1)


def _robust_ridge(
    bone: Array, size: Array, difference: Array, ridge: float
) -> tuple[float, Array, Array]:
    """Solve difference = offset + size * growth + share * bone by re-weighted least squares.

    Bone and difference are (N, 3), size (N,).  Share and growth are held by ridges, the offset is
    not.  Returns share, offset (3,) and growth (3,).
    """
    constant = np.broadcast_to(np.eye(3), (len(bone), 3, 3))
    growing = constant * size[:, None, None]
    design = np.concatenate((bone[:, :, None], constant, growing), axis=2)
    # Joints of the torso have no bone (all zero): a minimum penalty keeps the system solvable.
    penalty = len(bone) * np.diag((max(ridge, 1e-12), *(0.0,) * 3, *(_SIZE_RIDGE,) * 3))
    weight = np.ones(len(bone))
    for _ in range(_ITERATIONS):
        weighted = design * weight[:, None, None]
        solution = np.linalg.solve(
            np.einsum("nip,niq->pq", weighted, design) + penalty,
            np.einsum("nip,ni->p", weighted, difference),
        )
        residual = np.linalg.norm(difference - design @ solution, axis=-1)
        weight = np.minimum(1.0, _HUBER / np.maximum(residual, 1e-12))
    return float(solution[0]), solution[1:4], solution[4:]
