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
class Viewpoint:
    """A camera in a z-up world, looking along +y when not turned.

    Attributes:
        position: (3,) metres.
        pitch: radians, positive looks up.
        roll: radians, about the viewing axis.
    """

    position: NDArray[np.float64]
    pitch: float
    roll: float

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) from the optical frame (x right, y down, z forward) to the world."""
        level = np.array(((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)))
        return level @ Rotation.from_euler("xz", (self.pitch, self.roll)).as_matrix()

    def to_optical(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """World points (..., 3) in this camera's optical frame."""
        return (points - self.position) @ self.rotation


class Renderer:
    """Meshes in one acceleration structure; mesh i keeps index i in the answers."""

    def __init__(self, meshes: Sequence[Mesh]) -> None:
        self._scene = EmbreeScene()
        # Embree borrows the arrays: they have to live as long as the scene.
        self._meshes = [
            TriangleMesh(self._scene, np.ascontiguousarray(m.vertices), m.faces) for m in meshes
        ]

    def cast(
        self, viewpoint: Viewpoint, ray_x: NDArray[Any], ray_y: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Depth along rays (ray_x, ray_y, 1) of the optical frame.

        Args:
            viewpoint: the camera.
            ray_x, ray_y: (H, W).

        Returns:
            (H, W) float32 z in metres, 0 where nothing is hit, and (H, W) int32 mesh indices, -1
            where nothing is hit.
        """
        rays = np.stack((ray_x, ray_y, np.ones_like(ray_x)), axis=-1).reshape(-1, 3)
        # Unnormalised rays: the distance in ray lengths is the depth z itself.
        directions = (rays @ viewpoint.rotation.T).astype(np.float32)
        origins = np.broadcast_to(viewpoint.position.astype(np.float32), directions.shape)
        hit = self._scene.run(np.ascontiguousarray(origins), directions, output=True)
        mesh = hit["geomID"].reshape(ray_x.shape).astype(np.int32)
        z = np.where(mesh >= 0, hit["tfar"].reshape(ray_x.shape), 0.0).astype(np.float32)
        return z, mesh
