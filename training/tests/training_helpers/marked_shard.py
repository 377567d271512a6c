"""A small shard with known joints."""

import numpy as np

from depth_pose_ros.core import crops
from depth_pose_training.data import shards


def make_shard(n: int, seed: int) -> shards.Shard:
    """Crops whose joints are marked: joint k lies under a 5 x 5 square of depth -10 k mm."""
    rng = np.random.default_rng(seed)
    depth = np.full((n, 216, 176), crops.MISSING, np.int16)
    frame = np.zeros((n, 4), np.float32)
    joints = np.zeros((n, 19, 3), np.float32)
    for i in range(n):
        f = crops.frame_around((rng.uniform(-0.5, 0.5), rng.uniform(-0.3, 0.3), 2.5))
        cells = rng.choice(9 * 7, 19, replace=False)  # far enough apart not to overlap
        pixels = np.stack((cells % 7 * 20 + 28, cells // 7 * 20 + 28), -1)
        for k, (x, y) in enumerate(pixels):
            depth[i, y - 2 : y + 3, x - 2 : x + 3] = -10 * k
        z = f.z_ref - 0.01 * np.arange(19) + 0.05
        joints[i] = f.to_space(pixels, z)
        frame[i] = f.as_array()
    spine = np.zeros((n, 4, 19, 3), np.float32)
    spine[:, 0, :] = (0.1, 0.0, 2.0)
    camera = np.tile(np.array((110, 110, 39.5, 31.5, 80, 64), np.float32), (n, 1))
    view = np.full((n, *shards.CANVAS), 0, np.uint16)
    view[:, :64, :80] = 4000
    view[:, 20:44, 38:52] = 1900
    visible = np.zeros((n, 4, 19), np.uint8)
    visible[:, 0] = 1
    return shards.Shard(
        depth, frame, joints, np.ones((n, 19), np.uint8), np.array(["mocap"] * n),
        np.zeros(n, bool), view, camera, spine, visible, np.ones(n, np.uint8),
    )  # fmt: skip
