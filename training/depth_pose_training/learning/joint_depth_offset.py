"""How deep each joint lies under the surface that a camera sees.

The median over the visible training joints of
sight of the joint's depth minus the depth measured at its pixel.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from depth_pose_ros.core.crops import DEPTH_RANGE, FAR
from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.data.synthetic.samples import VISIBLE
from depth_pose_training.engine import step_options
from depth_pose_training.engine.checkpoints import write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.learning import run_folder


def depths_below(batch: Batch) -> Tensor:
    """(B, 19) metres, joint's depth minus the measured one at its pixel; NaN where not in sight."""
    height, width = batch.crops.shape[-2:]
    x, y = (batch.pixels[..., i].round().long() for i in range(2))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    inside &= (batch.visible == VISIBLE) & (batch.weight > 0)
    index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    value = batch.crops.flatten(1).gather(1, index)
    # -1 and FAR are clipped or missing values.
    known = inside & (value > -1) & (value < FAR)
    surface = batch.frames[:, 3:4] + DEPTH_RANGE * value
    return torch.where(known, batch.joints[..., 2] - surface, torch.nan)


def joint_depth_offsets(data: CropDataset, limit: int, seed: int) -> Tensor:
    """(19,) metres, medians over ``limit`` random crops.

    Raises:
        UserError: a joint that is never in sight.
    """
    chosen = np.random.default_rng(seed).permutation(len(data))[:limit]
    parts = np.array_split(chosen, max(1, len(chosen) // 64))
    below = torch.cat([depths_below(data.batch(i)) for i in tqdm(parts, unit="batch")])
    offsets = below.nanmedian(0).values
    if offsets.isnan().any():
        missing = [name for name, v in zip(JOINTS, offsets.isnan(), strict=True) if v]
        raise UserError(f"never in sight: {', '.join(missing)}; more crops are needed")
    return offsets


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    run_folder.add_arguments(parser)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of training shards"
    )
    parser.add_argument("--crops", type=int, default=4000, help="number of crops")
    return parser


def run(args: argparse.Namespace) -> None:
    """The step, by a command line's options."""
    run_folder.start(args, "joint_depth_offset")
    offsets = joint_depth_offsets(CropDataset(*args.data, mapped=True), args.crops, args.seed)
    write_whole(args.run / run_folder.JOINT_DEPTH_OFFSET, {"joint_depth_offset": offsets})
    millimetres = {k: round(1000 * float(v)) for k, v in zip(JOINTS, offsets, strict=True)}
    run_folder.log(args.run, "surface", {"millimetres": millimetres, "crops": args.crops})
    print(json.dumps(millimetres, indent=1))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "joint_depth_offset", argv))
