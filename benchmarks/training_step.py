"""A training step of the compact FCN with winograd.cpp's convolutions, against torch's own.

python -m benchmarks.training_step --batch 16 --threads 1
"""

import argparse
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.timing import ratio, side_by_side
from depth_pose_ros.network.config import compact
from depth_pose_ros.network.fcn import CompactFcn
from depth_pose_training import winograd


def step(fcn: nn.Module, crops: Tensor) -> None:
    """Maps and gradients of a batch, (B, 1, 216, 176)."""
    fcn.zero_grad()
    maps = fcn(crops)
    loss = maps.heat.square().mean() + maps.depth.square().mean()
    (loss + maps.displacement.square().mean()).backward()


def main() -> None:
    """One line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16, help="crops")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each of the two")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    plain = CompactFcn(blocks=compact().fcn_blocks).train()
    plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    faster = deepcopy(plain)
    winograd.use(faster)
    crops = torch.randn(args.batch, 1, 216, 176).contiguous(memory_format=torch.channels_last)
    works = {"before": partial(step, plain, crops), "after": partial(step, faster, crops)}
    times = side_by_side(works, args.seconds)
    before, after = (times[name]["p50"] / args.batch for name in works)
    share = ratio(times["after"], times["before"])
    print(f"{before:.1f} ms a crop, {after:.1f} with winograd.cpp: {share:.2f}")


if __name__ == "__main__":
    main()
