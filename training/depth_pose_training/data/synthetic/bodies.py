"""Parametric human bodies: shape, pose, surface and the 19 joints inside it (anny, Apache-2.0)."""

from dataclasses import dataclass

import anny
import numpy as np
import torch
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import JOINTS, NUM_JOINTS
from depth_pose_training.data.synthetic.retarget import Details, Retargeter

Array = NDArray[np.float64]

#: Joints as weighted means of bone heads: joint -> {bone: weight}.  Hips, knees, shoulders and
#: elbows are the anatomical centres of rotation, "Foot" is the ankle, "Hand" the knuckles' side
#: of the palm.  Head is the centre of the head's surface and is not listed.
_BONE_WEIGHTS: dict[str, dict[str, float]] = {
    "Neck": {"neck01": 0.5, "neck03": 0.5},
    "UpperSpine": {"clavicle.L": 0.5, "clavicle.R": 0.5},
    "MiddleSpine": {"spine02": 1.0},
    "DownSpine": {"root": 1.0},
    **{
        f"{side}{joint}": {f"{bone}.{side[0]}": w for bone, w in bones.items()}
        for side in ("Left", "Right")
        for joint, bones in {
            "Shoulder": {"upperarm01": 1.0},
            "Elbow": {"lowerarm01": 1.0},
            "Wrist": {"wrist": 1.0},
            "Hand": {"wrist": 0.3, "finger3-1": 0.7},
            "Hip": {"upperleg01": 1.0},
            "Knee": {"lowerleg01": 1.0},
            "Foot": {"foot": 1.0},
        }.items()
    },
}

#: Edges shorter than this, metres, are collapsed: about a pixel of a crop.
_DETAIL = 0.012

#: Parts of the body's surface: prefixes of the bones that move them.
PARTS: dict[str, tuple[str, ...]] = {
    "head": ("head", "eye"),
    "neck": ("neck",),
    "trunk": ("root", "pelvis", "spine", "clavicle", "shoulder"),
    "upper arm": ("upperarm",),
    "forearm": ("lowerarm",),
    "hand": ("wrist", "finger", "metacarpal"),
    "thigh": ("upperleg",),
    "shin": ("lowerleg",),
    "foot": ("foot", "toe"),
}


#: Standing height in metres: about ten years old to very tall.
STATURE = (1.28, 2.05)


@dataclass(frozen=True)
class Body:
    """A posed body in its own frame, z up, metres.

    Attributes:
        vertices: (V, 3) float32 surface.
        joints: (19, 3) float64, inside the surface.
        stature: standing height in metres.
    """

    vertices: NDArray[np.float32]
    joints: Array
    stature: float


class BodyModel:
    """Samples shapes and poses bodies in batches.

    Attributes:
        faces: (F, 3) int32 triangles, the same for all bodies.
        rest: (V, 3) the average body at rest, metres.
        parts: (V, len(PARTS)) weights of the :data:`PARTS` of each vertex; sum is 1.
    """

    def __init__(self) -> None:
        self._model = anny.Anny(pose_parameterization="world-orient")
        bones = list(self._model.bone_labels)
        self._retarget = Retargeter(bones)
        self.faces = self._simplified_faces()
        self.rest: Array = self._model.template_vertices.numpy().astype(np.float64)
        self.parts = self._part_weights(bones)
        self._weights = np.zeros((NUM_JOINTS, len(bones)))
        for joint, weights in _BONE_WEIGHTS.items():
            for bone, w in weights.items():
                self._weights[JOINTS.index(joint), bones.index(bone)] = w
        self._head = self._vertices_of("head", bones)

    def _simplified_faces(self) -> NDArray[np.int32]:
        """Simplify the template mesh to a quarter of its triangles; returns the faces."""
        model = self._model
        faces = model.get_triangular_faces().numpy().astype(np.int32)
        kept, faces = collapse_edges(model.template_vertices.numpy(), faces, _DETAIL)
        model.template_vertices = model.template_vertices[kept]
        model.blendshapes = model.blendshapes[:, kept].contiguous()
        model.vertex_bone_weights = model.vertex_bone_weights[kept]
        model.vertex_bone_indices = model.vertex_bone_indices[kept]
        return faces

    def _part_weights(self, bones: list[str]) -> Array:
        part = np.zeros((len(bones), len(PARTS)))
        for i, bone in enumerate(bones):
            part[i, [bone.startswith(names) for names in PARTS.values()].index(True)] = 1
        indices = self._model.vertex_bone_indices.numpy()
        weights: Array = self._model.vertex_bone_weights.numpy()[..., None] * part[indices]
        return weights.sum(1)

    def _vertices_of(self, bone: str, bones: list[str]) -> NDArray[np.int64]:
        indices = self._model.vertex_bone_indices.numpy()
        weights = self._model.vertex_bone_weights.numpy()
        dominant = np.take_along_axis(indices, weights.argmax(1)[:, None], 1)[:, 0]
        return np.flatnonzero(dominant == bones.index(bone))

    def _joints(self, bone_heads: Array, vertices: NDArray[np.float32]) -> Array:
        joints = np.einsum("kb,nbd->nkd", self._weights, bone_heads)
        head = vertices[:, self._head]
        joints[:, 0] = (head.min(1) + head.max(1)) / 2
        return joints

    @torch.no_grad()
    def sample_shapes(
        self, n: int, rng: np.random.Generator, stature: tuple[float, float] = STATURE
    ) -> dict[str, torch.Tensor]:
        """Random phenotypes of n people whose standing height is within ``stature`` metres."""
        accepted: list[Array] = []
        labels = list(self._model.phenotype_labels)
        while sum(len(f) for f in accepted) < n:
            shape = rng.uniform(0, 1, (n + n // 4 + 1, len(labels)))
            shape[:, labels.index("age")] = rng.uniform(0.42, 1.0, len(shape))
            height = rng.normal(0.42, 0.16, len(shape))
            shape[:, labels.index("height")] = np.clip(height, 0, 1)
            rest = self._model(phenotype_kwargs=_phenotype(labels, shape))
            z = rest["rest_vertices"][..., 2].numpy()
            tall = np.ptp(z, axis=1)
            accepted.append(shape[(tall > stature[0]) & (tall < stature[1])])
            if len(accepted) > 100:
                raise ValueError(f"bodies have no stature between {stature[0]} and {stature[1]} m")
        return _phenotype(labels, np.concatenate(accepted)[:n])

    @torch.no_grad()
    def pose(self, figures: Array, shapes: dict[str, torch.Tensor], details: Details) -> list[Body]:
        """Bodies of the given shapes in the poses of stick figures (B, 19, 3), z up."""
        rest = self._model(phenotype_kwargs=shapes)
        rest_heads = rest["rest_bone_heads"].numpy().astype(np.float64)
        rest_vertices = rest["rest_vertices"].numpy().astype(np.float32)
        rest_joints = self._joints(rest_heads, rest_vertices)
        turned = torch.from_numpy(self._retarget(figures, rest_joints, rest_heads, details))
        transforms = torch.eye(4, dtype=self._model.dtype).repeat(*turned.shape[:2], 1, 1)
        transforms[..., :3, :3] = (
            turned.to(self._model.dtype) @ rest["rest_bone_poses"][..., :3, :3]
        )
        posed = self._model(pose_parameters=transforms, phenotype_kwargs=shapes)
        heads = posed["bone_poses"][..., :3, 3].numpy().astype(np.float64)
        vertices = posed["vertices"].numpy().astype(np.float32)
        joints = self._joints(heads, vertices)
        statures = np.ptp(rest_vertices[..., 2], axis=1)
        return [Body(v, j, float(h)) for v, j, h in zip(vertices, joints, statures, strict=True)]


def _phenotype(labels: list[str], shape: Array) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(shape[:, i].copy()) for i, k in enumerate(labels)}


def collapse_edges(
    vertices: NDArray[np.floating], faces: NDArray[np.int32], length: float, rounds: int = 30
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Simplify a mesh: collapse edges shorter than ``length`` onto one of their vertices.

    No vertex moves, so that the result is valid for every pose of the mesh.

    Args:
        vertices: (V, 3) metres, in the pose in which edges are measured.
        faces: (F, 3).
        length: metres.
        rounds: maximum number of sweeps; each collapses edges that are the shortest at both ends.

    Returns:
        (W,) indices of the remaining vertices, and (G, 3) faces among these W.
    """
    target = np.arange(len(vertices))
    now = faces.astype(np.int64)
    for _ in range(rounds):
        ends = np.concatenate((now[:, [0, 1]], now[:, [1, 2]], now[:, [2, 0]]))
        edges = np.unique(np.sort(ends, axis=1), axis=0)
        size = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
        edges = edges[size < length][np.argsort(size[size < length], kind="stable")]
        if len(edges) == 0:
            break
        # The first edge in order at each vertex is its shortest.
        rank = np.full(len(vertices), len(edges))
        np.minimum.at(rank, edges.ravel(), np.repeat(np.arange(len(edges)), 2))
        order = np.arange(len(edges))
        chosen = (rank[edges[:, 0]] == order) & (rank[edges[:, 1]] == order)
        step = np.arange(len(vertices))
        step[edges[chosen, 1]] = edges[chosen, 0]
        target = step[target]
        now = step[now]
        whole = (now[:, 0] != now[:, 1]) & (now[:, 1] != now[:, 2]) & (now[:, 2] != now[:, 0])
        now = now[whole]
    kept = np.unique(now)
    index = np.zeros(len(vertices), dtype=np.int32)
    index[kept] = np.arange(len(kept))
    return kept, index[now]
