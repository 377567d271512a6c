"""Render the built-in clip of the demo: two people in a furnished room.

The true joints go to ``--truth``, an .npz with ``joints`` (people, frames, 19, 3) in float32
meters, optical frame, and ``fps``, for ``evaluate_tracking``.

One person directs traffic, another one walks in and out of view: ten seconds, seen by a Kinect v2
at 1.2 m.  Poses are from the CMU motion capture database (mocap.cs.cmu.edu).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_ros.demo.sources.clip import BUILTIN, write_clip
from depth_pose_training.configs.cli import option
from depth_pose_training.data.synthetic import mocap, room
from depth_pose_training.data.synthetic.bodies import BodyModel
from depth_pose_training.data.synthetic.render import Mesh, Renderer, Viewpoint
from depth_pose_training.data.synthetic.retarget import Details
from depth_pose_training.data.synthetic.sensor import SENSORS, edge_faults

FPS = 15
_SECONDS = 10
_ROOT = INDEX["DownSpine"]
_TRUTH = Path(__file__).parents[2] / "evaluation" / "data" / "clip_truth.npz"
_VIEWPOINT = Viewpoint(np.array((0.0, 0.0, 1.2)), -0.06, 0.0)


def _actor(
    model: BodyModel,
    motion: NDArray[np.float32],
    start: tuple[float, float],
    yaw: float,
    shape_seed: int,
) -> tuple[list[Mesh], NDArray[np.float64]]:
    """One person who starts at ``start``: meshes, and joints (N, 19, 3)."""
    n = len(motion)
    one = model.sample_shapes(1, np.random.default_rng(shape_seed))
    shapes = {k: v.expand(n) for k, v in one.items()}
    bodies = model.pose(motion.astype(np.float64), shapes, Details.relaxed(n))
    rotation = Rotation.from_euler("z", yaw).as_matrix()
    scale = bodies[0].stature / 1.75
    path = (motion[:, _ROOT] - motion[0, _ROOT]) * scale
    meshes, joints = [], []
    for body, step in zip(bodies, path, strict=True):
        v = np.concatenate((body.vertices, body.joints)) - body.joints[_ROOT]
        v[:, :2] += step[:2]
        v = v @ rotation.T
        v[:, :2] += start
        v[:, 2] -= v[: len(body.vertices), 2].min()
        meshes.append(Mesh(v[: len(body.vertices)].astype(np.float32), model.faces))
        joints.append(v[len(body.vertices) :])
    return meshes, np.stack(joints)


def _room() -> list[Mesh]:
    rng = np.random.default_rng(7)
    wall = room.box((12, 0.1, 5), (0, 4.6, 1.5))
    side = room.move(room.box((0.1, 10, 5)), (-2.6, 3, 1.5), 0.05)
    return [
        room.box((20, 20, 0.1), (0, 0, -0.05)),
        wall,
        side,
        room.move(room.sofa(rng), (1.5, 4.0, 0)),
        room.move(room.table(rng), (-1.7, 2.2, 0), 0.3),
        room.move(room.cabinet(rng), (-2.0, 4.1, 0)),
        room.move(room.upright_object(rng), (2.6, 3.2, 0)),
    ]


@dataclass(frozen=True)
class DemoClipOptions:
    """Options of the step."""

    motion: Path = option("motion capture of the CMU, an .npz file")
    out: Path = option("the clip", BUILTIN)
    truth: Path = option("file of the true joints", _TRUTH)
    only_truth: bool = option("write the true joints without rendering", False)


def render_demo_clip(options: DemoClipOptions) -> None:
    """Write the true joints and the clip."""
    torch.set_num_threads(1)
    with np.load(options.motion) as data:
        names = [str(n) for n in data["names"]]
    clips = dict(zip(names, mocap.load_clips(options.motion), strict=True))
    n, every = FPS * _SECONDS, 30 // FPS
    model = BodyModel()
    conductor = clips["CMUcs_train_directing_traffic_4"][100 : 100 + n * every : every]
    walker = clips["CMUcs_train_walking_50"][::every]
    walker = np.concatenate((walker, walker[::-1]))[:n]  # there and back
    cast = [
        _actor(model, conductor, (-0.75, 2.6), 0.15, 3),
        _actor(model, walker, (0.9, 3.2), 0.0, 11),
    ]
    joints = np.stack([_VIEWPOINT.to_optical(joints) for _, joints in cast])
    options.truth.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.truth, joints=joints.astype(np.float32), fps=np.float64(FPS))
    print(f"{options.truth}: {joints.shape[1]} frames of {joints.shape[0]} people")
    if not options.only_truth:
        _render([meshes for meshes, _ in cast], options.out)


def _render(cast: list[list[Mesh]], out: Path) -> None:
    n = len(cast[0])
    sensor = SENSORS[0]
    camera = sensor.camera
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    ray_x, ray_y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    backdrop = room.join(_room())
    rng = np.random.default_rng(1)
    still = rng.random((camera.height, camera.width), dtype=np.float32)
    frames = []
    for i in tqdm(range(n), unit="frame"):
        z, mesh = Renderer([a[i] for a in cast] + [backdrop]).cast(_VIEWPOINT, ray_x, ray_y)
        # Missing pixels of the room do not change (the clip compresses better), those of people do.
        chance = np.where(mesh < len(cast), rng.random(z.shape, dtype=np.float32), still)
        z[(z > 8) | edge_faults(z, chance, 1 / camera.fx)] = 0
        frames.append(np.round(z * 1000).astype(np.uint16))
    size = write_clip(out, frames, camera, FPS)
    print(f"{out}: {n} frames, {size / 1e6:.2f} MB")
