"""Shards of discs on sticks: crops with known truth, made in milliseconds."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from depth_pose_ros.core import crops
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.skeleton import EDGES, INDEX, NUM_JOINTS
from depth_pose_training.data.shards import CANVAS, MAX_PEOPLE, Shard, write

OFFSET = 0.06  #: metres that every joint lies below its disc
RADIUS = 6  #: of the discs, pixels

#: A network of the compact kind, as small as it can be.
TINY = ModelConfig(
    name="tiny",
    window=5,
    patch=16,
    templates=3,
    tower=(4, 6, 6, 6, 6),
    metric_units=(8, 8),
    shared_tower=True,
    heat_unary=True,
    displacement=True,
    readout="marginals",
)

_HALF = {"Shoulder": (0.2, -0.4), "Elbow": (0.5, -0.4), "Wrist": (0.7, -0.4), "Hand": (0.8, -0.4),
         "Hip": (0.1, 0.1), "Knee": (0.12, 0.5), "Foot": (0.15, 0.9)}  # fmt: skip
_MIDDLE = {"Head": -0.75, "Neck": -0.6, "UpperSpine": -0.45, "MiddleSpine": -0.2, "DownSpine": 0.0}


def mean_figure() -> np.ndarray:
    """(19, 3) metres: arms out, facing a camera 2 m away."""
    joints = np.zeros((NUM_JOINTS, 3))
    for name, y in _MIDDLE.items():
        joints[INDEX[name]] = 0, y, 2
    for name, (x, y) in _HALF.items():
        joints[INDEX["Right" + name]] = -x, y, 2
        joints[INDEX["Left" + name]] = x, y, 2
    return joints


def figures(count: int, seed: int = 0, jitter: float = 0.03) -> Shard:
    """Crops of the mean figure with every joint moved by ``jitter`` metres."""
    rng = np.random.default_rng(seed)
    frame = crops.frame_around((0.0, 0.0, 2.0))
    depth = np.full((count, crops.HEIGHT, crops.WIDTH), crops.MISSING, np.int16)
    joints = mean_figure() + rng.normal(0, jitter, (count, NUM_JOINTS, 3))
    visible = np.zeros((count, NUM_JOINTS), np.uint8)
    ys, xs = np.mgrid[: crops.HEIGHT, : crops.WIDTH]
    for image, points, seen in zip(depth, joints, visible, strict=True):
        pixels = frame.from_space(points)
        for p, z in sorted(zip(pixels, points[:, 2], strict=True), key=lambda pair: -pair[1]):
            disc = np.hypot(xs - p[0], ys - p[1]) <= RADIUS
            image[disc] = round(1000 * (z - OFFSET - frame.z_ref))
        for k, p in enumerate(pixels):
            x, y = np.round(p).astype(int)
            if not (0 <= x < crops.WIDTH and 0 <= y < crops.HEIGHT):
                seen[k] = 2
            else:
                seen[k] = abs(image[y, x] - 1000 * (points[k, 2] - OFFSET - frame.z_ref)) < 1
    return Shard(
        depth,
        np.tile(frame.as_array(), (count, 1)),
        joints.astype(np.float32),
        visible,
        np.array(["sitting" if i % 2 else "standing" for i in range(count)]),
        np.zeros(count, bool),
        np.zeros((0, *CANVAS), np.uint16),
        np.zeros((0, 6), np.float32),
        np.zeros((0, MAX_PEOPLE, NUM_JOINTS, 3), np.float32),
        np.zeros((0, MAX_PEOPLE, NUM_JOINTS), np.uint8),
        np.zeros(0, np.uint8),
    )


def write_figures(folder: Path, count: int, seed: int = 0) -> Path:
    """A folder with one shard of figures."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "shard_00000.npz", figures(count, seed))
    return folder


class MeanFcn(nn.Module):
    """Always finds the mean figure."""

    stride = 4

    def forward(self, x: Tensor) -> FcnOutput:
        """(B, 1, 216, 176) -> maps like the compact network's."""
        figure = mean_figure()
        pixels = crops.frame_around((0.0, 0.0, 2.0)).from_space(figure)
        rows, columns = (self.stride * torch.arange(n) for n in (54, 44))
        at = torch.from_numpy(pixels).float()
        heat = -((rows[:, None] - at[:, 1, None, None]) ** 2) / 50
        heat = heat - (columns - at[:, 0, None, None]) ** 2 / 50
        bones = [figure[e.child] - figure[e.parent] for e in EDGES]
        displacement = torch.from_numpy(np.concatenate(bones)).float()[:, None, None]
        count = len(x)
        return FcnOutput(
            heat.expand(count, -1, -1, -1),
            torch.zeros(count, NUM_JOINTS, 54, 44),
            displacement.expand(count, -1, 54, 44),
            logits=True,
        )


if __name__ == "__main__":  # data for training/configs/smoke.yaml
    target = Path(sys.argv[1])
    write_figures(target / "train", 160, seed=1)
    write_figures(target / "val", 24, seed=2)
    print(f"160 and 24 crops in {target}")
