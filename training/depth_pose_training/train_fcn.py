"""Step 1 of Algorithm 1: the fully convolutional network.

``python -m depth_pose_training.train_fcn --help``.  A stopped run goes on from its last checkpoint.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from depth_pose_ros.network.fcn import build_fcn, heat_probability
from depth_pose_training.batches import Batch, CropSet
from depth_pose_training.checkpoints import resume, save
from depth_pose_training.losses import fcn_loss
from depth_pose_training.schedule import one_cycle, set_rate

#: Standard deviation of the target Gaussians, crop pixels.
SIGMA = {"compact": 5.0, "paper": 8.0}


def validate(model: nn.Module, data: CropSet, limit: int = 1000) -> dict[str, float]:
    """Median and mean soft-argmax error (crop pixels) and mean depth error (mm) of shown joints."""
    model.eval()
    errors, depths = [], []
    with torch.no_grad():
        for start in range(0, min(limit, len(data)), 25):
            batch = data.batch(np.arange(start, min(start + 25, len(data))))
            output = model(batch.crops.contiguous(memory_format=torch.channels_last))
            p = heat_probability(output)
            h, w = p.shape[-2:]
            stride = int(model.stride)  # type: ignore[arg-type]
            x = (p.sum(2) * torch.arange(w)).sum(-1) * stride
            y = (p.sum(3) * torch.arange(h)).sum(-1) * stride
            z = (p * output.depth).sum((2, 3)) + batch.frames[:, None, 3]
            shown = batch.visible == 1
            errors.append((torch.stack((x, y), -1) - batch.pixels).norm(dim=-1)[shown])
            depths.append((z - batch.joints[..., 2]).abs()[shown])
    model.train()
    error, depth = torch.cat(errors), torch.cat(depths)
    return {
        "pixels_median": float(error.median()),
        "pixels_mean": float(error.mean()),
        "within_5px": float((error < 5).float().mean()),
        "depth_mm": float(depth.mean() * 1000),
    }


def _batches(data: CropSet, size: int, seed: int, done: int) -> Iterator[Batch]:
    """Endless shuffled epochs, a batch ahead of their use; new shards join at each."""
    epoch = done  # a resumed run sees a new order, not the first epoch's again
    with ThreadPoolExecutor(1) as ahead:
        while True:
            data.rescan()
            batches = data.epoch(size, np.random.default_rng((seed, epoch)))
            waiting = ahead.submit(next, batches, None)
            while (batch := waiting.result()) is not None:
                waiting = ahead.submit(next, batches, None)
                yield batch
            epoch += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of training shards"
    )
    parser.add_argument("--validation", type=Path, required=True, help="folder of held-out shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--fcn", choices=("compact", "paper"), default="compact")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint-every", type=int, default=250, help="steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="bf16 pays only on processors with AMX; it is slower than fp32 on others",
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    data, held_out = CropSet(*args.data), CropSet(args.validation)

    model = build_fcn(args.fcn, displacement=args.fcn == "compact")
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01)
    step = resume(args.out, model, optimiser)
    started, bar = time.monotonic(), tqdm(total=args.steps, initial=step, unit="step")
    running: list[float] = []
    for batch in _batches(data, args.batch, args.seed, step):
        if step >= args.steps:
            break
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            output = model(batch.crops.contiguous(memory_format=torch.channels_last))
        output = output._replace(
            heat=output.heat.float(),
            depth=output.depth.float(),
            displacement=None if output.displacement is None else output.displacement.float(),
        )
        loss = fcn_loss(output, batch, model.stride, SIGMA[args.fcn])
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        set_rate(optimiser, one_cycle(step, args.steps, args.rate))
        optimiser.step()
        step += 1
        bar.update()
        running.append(float(loss.total.detach()))
        if step % args.checkpoint_every == 0 or step == args.steps:
            report = {
                "step": step,
                "crops": len(data),
                "loss": float(np.mean(running)),
                "seconds": round(time.monotonic() - started, 1),
                **validate(model, held_out),
            }
            running.clear()
            save(args.out, model, optimiser, report)


if __name__ == "__main__":
    main()
