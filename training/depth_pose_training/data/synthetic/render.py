"""Ray-cast depth: a scene of triangle meshes seen along given viewing rays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Vertices = NDArray[np.float32]
Faces = NDArray[np.int32]


@dataclass(frozen=True)
class Mesh:
    """Triangles: vertices (V, 3) float32 in metres, faces (F, 3) int32."""

    vertices: Vertices
    faces: Faces


@dataclass(frozen=True)
class Plane:
    """An infinite wall, floor or ceiling: points p with normal . p = offset, metres."""

    normal: NDArray[np.float64]
    offset: float


@dataclass(frozen=True)
class Viewpoint:
    """A camera in a z-up world; it looks along +y if pitch and yaw are 0.

    Attributes:
        position: (3,) metres.
        pitch: radians, positive looks up.
        roll: radians, about the viewing axis.
        yaw: radians about the vertical, positive turns to the left.
    """

    position: NDArray[np.float64]
    pitch: float
    roll: float
    yaw: float = 0.0

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) from the optical frame (x right, y down, z forward) to the world."""
        level = np.array(((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)))
        rotation = Rotation.from_euler("z", self.yaw).as_matrix()
        return rotation @ level @ Rotation.from_euler("xz", (self.pitch, self.roll)).as_matrix()

    def to_optical(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """World points (..., 3) in this camera's optical frame."""
        return (points - self.position) @ self.rotation


class Renderer:
    """Meshes in one acceleration structure."""

    def __init__(self, meshes: Sequence[Mesh]) -> None:
        self._scene = EmbreeScene()
        # Embree borrows the arrays: they have to live as long as the scene.
        self._meshes = [
            TriangleMesh(self._scene, np.ascontiguousarray(m.vertices), m.faces) for m in meshes
        ]
        self._boxes = [_corners(m.vertices) for m in meshes]

    def cast(
        self,
        viewpoint: Viewpoint,
        ray_x: NDArray[Any],
        ray_y: NDArray[Any],
        planes: Sequence[Plane] = (),
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Depth along rays (ray_x, ray_y, 1) of the optical frame.

        Args:
            viewpoint: the camera.
            ray_x, ray_y: (H, W).
            planes: of the scene.

        Returns:
            (H, W) float32 z in metres, 0 where nothing is hit, and (H, W) int32 mesh indices, -1
            where nothing is hit, the number of meshes where a plane is.
        """
        rays = np.stack((ray_x, ray_y, np.ones_like(ray_x)), axis=-1).reshape(-1, 3)
        # Unnormalised rays: the distance in ray lengths is the depth z itself.
        directions = (rays @ viewpoint.rotation.T).astype(np.float32)
        z = np.full(len(rays), np.inf, np.float32)
        mesh = np.full(len(rays), -1, np.int32)
        near = np.flatnonzero(self._may_hit(viewpoint, rays))
        if len(near):
            some = np.ascontiguousarray(directions[near])
            origins = np.broadcast_to(viewpoint.position.astype(np.float32), some.shape)
            hit = self._scene.run(np.ascontiguousarray(origins), some, output=True)
            mesh[near] = hit["geomID"]
            z[near] = np.where(hit["geomID"] >= 0, hit["tfar"], np.inf)
        for plane in planes:
            towards = directions @ plane.normal.astype(np.float32)
            above = np.float32(plane.offset - plane.normal @ viewpoint.position)
            with np.errstate(divide="ignore", invalid="ignore"):
                t = above / towards
            nearer = (t > 0) & (t < z)
            z[nearer], mesh[nearer] = t[nearer], len(self._meshes)
        z[~np.isfinite(z)] = 0
        return z.reshape(ray_x.shape), mesh.reshape(ray_x.shape)

    def _may_hit(self, viewpoint: Viewpoint, rays: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Rays that pass through the bounding rectangle of a mesh."""
        hit = np.zeros(len(rays), bool)
        for box in self._boxes:
            corners = viewpoint.to_optical(box)
            if corners[:, 2].max() <= 0:
                continue
            if corners[:, 2].min() < 0.05:  # reaches behind the camera
                return np.ones(len(rays), bool)
            xy = corners[:, :2] / corners[:, 2:]
            (x0, y0), (x1, y1) = xy.min(0), xy.max(0)
            x, y = rays[:, 0], rays[:, 1]
            hit |= (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        return hit


def _corners(vertices: Vertices) -> NDArray[np.float64]:
    """(8, 3) corners of the bounding box."""
    ends = np.stack((vertices.min(0), vertices.max(0))).astype(np.float64)
    pick = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    return np.stack([ends[pick[:, axis], axis] for axis in range(3)], axis=-1)
