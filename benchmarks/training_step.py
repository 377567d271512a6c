"""A training step of an FCN: float32, float32 with winograd.cpp, and bfloat16.

python -m benchmarks.training_step --fcn compact --batch 16 --threads 1
"""

import argparse
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.timing import interleave, ratio
from depth_pose_ros.core.models.config import compact
from depth_pose_ros.core.models.fcn import FcnOutput, build_fcn
from depth_pose_training.engine import winograd
from depth_pose_training.learning.low_rank_fcn import LowRankPaperFcn


def step(fcn: nn.Module, crops: Tensor, mixed: bool = False) -> None:
    """Forward and backward pass of a batch (B, 1, 216, 176)."""
    fcn.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        output: FcnOutput = fcn(crops)
    maps = (output.heat, output.depth, output.displacement)
    torch.stack([m.float().square().mean() for m in maps if m is not None]).sum().backward()


def main() -> None:
    """Print a line per implementation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--fcn", choices=("compact", "paper"), default="compact", help="paper: the low-rank form"
    )
    parser.add_argument("--batch", type=int, default=16, help="crops")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0, help="per implementation")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    plain = build_fcn(compact()) if args.fcn == "compact" else LowRankPaperFcn()
    plain.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    faster = deepcopy(plain)
    winograd.use(faster)
    crops = torch.randn(args.batch, 1, 216, 176).contiguous(memory_format=torch.channels_last)
    works = {
        "torch's convolutions": partial(step, plain, crops),
        "winograd.cpp": partial(step, faster, crops),
        "bfloat16": partial(step, plain, crops, mixed=True),
    }
    times = interleave(works, args.seconds)
    for name, time in times.items():
        share = ratio(time, times["torch's convolutions"])
        print(f"{name:20} {time['p50'] / args.batch:6.1f} ms per crop, {share:.2f}")


if __name__ == "__main__":
    main()
