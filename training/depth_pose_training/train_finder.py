"""The person finder: ``python -m depth_pose_training.train_finder --help``."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from depth_pose_ros.camera import Camera
from depth_pose_ros.network.finder import Finder, FinderConfig, FinderOutput
from depth_pose_ros.people import pick
from depth_pose_ros.skeleton import INDEX
from depth_pose_training.checkpoints import resume, save
from depth_pose_training.schedule import one_cycle, set_rate
from depth_pose_training.synthetic.samples import VISIBLE
from depth_pose_training.synthetic.shards import list_shards, read

_SPINE = INDEX["MiddleSpine"]
_TORSO = [INDEX[k] for k in ("UpperSpine", "MiddleSpine", "DownSpine", "LeftHip", "RightHip",
                             "LeftShoulder", "RightShoulder", "Head")]  # fmt: skip


@dataclass(frozen=True)
class FinderBatch:
    """Whole images and their people; P is the most people in one.

    Attributes:
        depth: (B, H, W) metres.
        centre: (B, P, 3) u, v in pixels and z in metres of the middle of the spine.
        focal: (B,) pixels.
        status: (B, P) 1 wanted, 0 no person, -1 too little of one in sight to ask for.
    """

    depth: Tensor
    centre: Tensor
    focal: Tensor
    status: Tensor


class FrameSet:
    """Whole frames of a folder of shards."""

    def __init__(self, folder: Path) -> None:
        shards = [read(p) for p in list_shards(folder)]
        self.depth = np.concatenate([s.view_depth for s in shards])
        self.camera = np.concatenate([s.view_camera for s in shards])
        self.joints = np.concatenate([s.view_joints for s in shards])
        self.visible = np.concatenate([s.view_visible for s in shards])
        self.people = np.concatenate([s.view_people for s in shards])

    def __len__(self) -> int:
        return len(self.depth)

    def centres(self, i: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """(B, P, 3) centres and (B, P) status of frames ``i``; see :class:`FinderBatch`."""
        spine, camera = self.joints[i][:, :, _SPINE], self.camera[i][:, None]
        z = np.maximum(spine[..., 2], 0.1)
        u = camera[..., 0] * spine[..., 0] / z + camera[..., 2]
        v = camera[..., 1] * spine[..., 1] / z + camera[..., 3]
        shown = self.visible[i] == VISIBLE
        enough = (shown.sum(-1) >= 6) & (shown[..., _TORSO].sum(-1) >= 2) & (spine[..., 2] > 0.5)
        there = np.arange(spine.shape[1]) < self.people[i][:, None]
        status = np.where(there, np.where(enough, 1, -1), 0)
        # Where the spine itself is out of the image, the nearest point of the border stands for it.
        u = np.clip(u, 2, camera[..., 4] - 3)
        v = np.clip(v, 2, camera[..., 5] - 3)
        return np.stack((u, v, z), -1).astype(np.float32), status.astype(np.int8)

    def batch(
        self, i: NDArray[np.int64], multiple: int, rng: np.random.Generator | None = None
    ) -> FinderBatch:
        """Frames ``i`` on the smallest common canvas; flipped at random when ``rng`` is given."""
        depth = self.depth[i].astype(np.float32) / 1000
        centre, status = self.centres(i)
        if rng is not None:
            for b in np.flatnonzero(rng.random(len(i)) < 0.5):
                w = int(self.camera[i[b], 4])
                depth[b, :, :w] = depth[b, :, :w][:, ::-1].copy()
                centre[b, :, 0] = w - 1 - centre[b, :, 0]
        h = -(-int(self.camera[i, 5].max()) // multiple) * multiple
        w = -(-int(self.camera[i, 4].max()) // multiple) * multiple
        return FinderBatch(
            torch.from_numpy(np.ascontiguousarray(depth[:, :h, :w])),
            torch.from_numpy(centre),
            torch.from_numpy(self.camera[i, 0]),
            torch.from_numpy(status),
        )


def finder_loss(output: FinderOutput, batch: FinderBatch, stride: int) -> Tensor:
    """Penalty-reduced focal loss of the heat, L1 of offset and depth near each person."""
    h, w = output.heat.shape[-2:]
    x = torch.arange(w) * stride - batch.centre[..., 0:1]
    y = torch.arange(h) * stride - batch.centre[..., 1:2]
    sigma = (0.13 * batch.focal[:, None] / batch.centre[..., 2]).clamp(min=3.0)[..., None]
    gauss = (
        torch.exp(-(y * y) / (2 * sigma * sigma))[..., :, None]
        * torch.exp(-(x * x) / (2 * sigma * sigma))[..., None, :]
    )
    wanted = (batch.status == 1)[..., None, None]
    target = (gauss * wanted).amax(1)
    ignored = (gauss * (batch.status == -1)[..., None, None]).amax(1) > 0.2
    # Exactly one cell per person, the nearest, is a full positive.
    column = (batch.centre[..., 0] / stride).round().long().clamp(0, w - 1)
    row = (batch.centre[..., 1] / stride).round().long().clamp(0, h - 1)
    positive = torch.zeros_like(target)
    b, p = torch.nonzero(batch.status == 1, as_tuple=True)
    positive[b, row[b, p], column[b, p]] = 1
    probability = output.heat.sigmoid().clamp(1e-5, 1 - 1e-5)
    gain = positive * (1 - probability).square() * probability.log()
    cost = (1 - positive) * (1 - target).pow(4) * probability.square() * (1 - probability).log()
    heat = -(gain + cost * ~ignored).sum() / positive.sum().clamp(min=1)
    near = (gauss > 0.5) & wanted
    dx = (output.offset[:, None, 0] + x[..., None, :]).abs()
    dy = (output.offset[:, None, 1] + y[..., :, None]).abs()
    dz = (output.depth[:, None] - batch.centre[..., 2, None, None]).abs()
    weight = gauss * near
    place = ((0.2 * (dx + dy) + 3.0 * dz) * weight).sum() / weight.sum().clamp(min=1)
    return heat + place


@torch.no_grad()
def validate(model: Finder, data: FrameSet, threshold: float, limit: int = 800) -> dict[str, float]:
    """Recall of the people asked for, false people per frame, and the finds' 3-D error (mm)."""
    model.eval()
    wanted = matched = false = 0
    errors = []
    for k in range(min(limit, len(data))):
        i = np.array([k])
        batch = data.batch(i, model.multiple)
        fx, fy, cx, cy, w, h = (float(v) for v in data.camera[k])
        camera = Camera(fx, fy, cx, cy, int(w), int(h))
        finds = pick(model(batch.depth), camera, model.stride, threshold, 6)
        spines = data.joints[k][: data.people[k], _SPINE]
        status = batch.status[0].numpy()[: len(spines)]
        wanted += int((status == 1).sum())
        taken = np.zeros(len(spines), bool)
        for f in finds:
            d = np.linalg.norm(spines - f.centre, axis=-1) if len(spines) else np.zeros(0)
            best = int(d.argmin()) if len(d) else -1
            if best >= 0 and d[best] < 0.4 and not taken[best]:
                taken[best] = True
                matched += int(status[best] == 1)
                errors.append(float(d[best]))
            else:
                false += 1
    model.train()
    frames = min(limit, len(data))
    return {
        "recall": matched / max(wanted, 1),
        "false_per_frame": false / frames,
        "error_mm": float(np.mean(errors) * 1000) if errors else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of training shards")
    parser.add_argument("--validation", type=Path, required=True, help="folder of held-out shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint-every", type=int, default=500, help="steps")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    data, held_out = FrameSet(args.data), FrameSet(args.validation)
    model = Finder(FinderConfig())
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01)
    done = resume(args.out, model, optimiser)
    started = time.monotonic()
    for step in tqdm(range(done + 1, args.steps + 1), initial=done, total=args.steps):
        rng = np.random.default_rng((args.seed, step))
        batch = data.batch(rng.integers(0, len(data), args.batch), model.multiple, rng)
        loss = finder_loss(model(batch.depth), batch, model.stride)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        set_rate(optimiser, one_cycle(step, args.steps, args.rate))
        optimiser.step()
        if step % args.checkpoint_every == 0 or step == args.steps:
            report = {
                "step": step,
                "loss": float(loss.detach()),
                "seconds": round(time.monotonic() - started, 1),
                **validate(model, held_out, 0.35),
            }
            save(args.out, model, optimiser, report)


if __name__ == "__main__":
    main()
