"""The person detector: ``python -m depth_pose_training train_detector --help``."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from depth_pose_ros.core import drawing
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.detection import Detection, decode_detections
from depth_pose_ros.core.models.detector import DetectorConfig, DetectorOutput, PersonDetector
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data import evenly_spaced
from depth_pose_training.data.loader import LoaderError
from depth_pose_training.data.shards import list_shards, read
from depth_pose_training.data.synthetic.samples import VISIBLE
from depth_pose_training.engine import loop, step_options, winograd
from depth_pose_training.engine.checkpoints import Files
from depth_pose_training.engine.distributed import Distributed, average, join
from depth_pose_training.engine.loader import SamplerState, to_device
from depth_pose_training.engine.loop import LoopConfig, Task
from depth_pose_training.engine.optimizers import OPTIMIZERS, OptimizerConfig
from depth_pose_training.engine.tensorboard import Image, TensorBoardLogger
from depth_pose_training.learning import run_folder

_THRESHOLD = 0.35  #: of the heat, for validation
_SHOWN = 8  # frames in TensorBoard's pictures
_SPINE = INDEX["MiddleSpine"]
_TORSO = [INDEX[k] for k in ("UpperSpine", "MiddleSpine", "DownSpine", "LeftHip", "RightHip",
                             "LeftShoulder", "RightShoulder", "Head")]  # fmt: skip


@dataclass(frozen=True)
class DetectorBatch:
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
    """Whole frames of folders of shards; those without any (of real crops) are left out.

    Raises:
        LoaderError: there is no frame at all.
    """

    def __init__(self, *folders: Path) -> None:
        paths = [path for folder in folders for path in list_shards(folder)]
        shards = [shard for shard in map(read, paths) if len(shard.view_depth)]
        if not shards:
            raise LoaderError(f"no whole frames in {', '.join(str(f) for f in folders)}")
        self.depth = np.concatenate([s.view_depth for s in shards])
        self.camera = np.concatenate([s.view_camera for s in shards])
        self.joints = np.concatenate([s.view_joints for s in shards])
        self.visible = np.concatenate([s.view_visible for s in shards])
        self.people = np.concatenate([s.view_people for s in shards])

    def __len__(self) -> int:
        return len(self.depth)

    def centres(self, i: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """(B, P, 3) centres and (B, P) status of frames ``i``; see :class:`DetectorBatch`."""
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
    ) -> DetectorBatch:
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
        return DetectorBatch(
            torch.from_numpy(np.ascontiguousarray(depth[:, :h, :w])),
            torch.from_numpy(centre),
            torch.from_numpy(self.camera[i, 0]),
            torch.from_numpy(status),
        )


def detector_loss(output: DetectorOutput, batch: DetectorBatch, stride: int) -> Tensor:
    """Penalty-reduced focal loss of the heat, L1 of offset and depth near each person."""
    h, w = output.heat.shape[-2:]
    device = batch.centre.device
    x = torch.arange(w, device=device) * stride - batch.centre[..., 0:1]
    y = torch.arange(h, device=device) * stride - batch.centre[..., 1:2]
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
    heat = -(gain + cost * ~ignored).sum() / average(positive.sum()).clamp(min=1)
    near = (gauss > 0.5) & wanted
    dx = (output.offset[:, None, 0] + x[..., None, :]).abs()
    dy = (output.offset[:, None, 1] + y[..., :, None]).abs()
    dz = (output.depth[:, None] - batch.centre[..., 2, None, None]).abs()
    weight = gauss * near
    offsets = ((0.2 * (dx + dy) + 3.0 * dz) * weight).sum() / average(weight.sum()).clamp(min=1)
    return heat + offsets


@torch.no_grad()
def validate(
    model: PersonDetector, data: FrameSet, threshold: float, device: torch.device, limit: int = 800
) -> dict[str, float]:
    """Recall, false positives per frame, and 3-D error of the detections (mm)."""
    model.eval()
    wanted = matched = false = 0
    errors = []
    for k in range(min(limit, len(data))):
        i = np.array([k])
        batch = data.batch(i, model.multiple)
        detections = _detections(model, data, k, threshold, device)
        spines = data.joints[k][: data.people[k], _SPINE]
        status = batch.status[0].numpy()[: len(spines)]
        wanted += int((status == 1).sum())
        taken = np.zeros(len(spines), bool)
        for f in detections:
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


def _detections(
    model: PersonDetector, data: FrameSet, k: int, threshold: float, device: torch.device
) -> list[Detection]:
    batch = to_device(data.batch(np.array([k]), model.multiple), device)
    output = DetectorOutput(*(o.cpu() for o in model(batch.depth)))
    return decode_detections(output, _camera(data, k), model.stride, threshold, 6)


def _camera(data: FrameSet, k: int) -> Camera:
    fx, fy, cx, cy, w, h = (float(v) for v in data.camera[k])
    return Camera(fx, fy, cx, cy, int(w), int(h))


@torch.no_grad()
def picture(model: PersonDetector, data: FrameSet, threshold: float, device: torch.device) -> Image:
    """Some held-out frames: crosses at labelled people, circles at detections."""
    model.eval()
    frames = []
    for k in evenly_spaced(data, _SHOWN):
        camera = _camera(data, k)
        depth = data.depth[k, : camera.height, : camera.width].astype(np.float32) / np.float32(1000)
        image = drawing.colorize(depth, 0.5, 6.0)
        centre, status = data.centres(np.array([k]))
        for u, v, _ in centre[0][status[0] == 1]:
            at = (round(float(u)), round(float(v)))
            cv2.drawMarker(image, at, drawing.MIDDLE, cv2.MARKER_CROSS, 12, 2)
        for find in _detections(model, data, k, threshold, device):
            u, v = camera.project(find.centre)
            cv2.circle(image, (round(float(u)), round(float(v))), 9, drawing.RIGHT, 2)
        frames.append(image)
    model.train()
    return drawing.montage(frames, 4)


class FrameLoader:
    """Frames drawn at random, this process's share of each batch; a step's are always the same."""

    def __init__(
        self, data: FrameSet, size: int, seed: int, distributed: Distributed, multiple: int
    ) -> None:
        self._data, self._size, self._seed = data, size, seed
        self._rows, self._distributed, self._multiple = (
            distributed.share(size),
            distributed,
            multiple,
        )

    def start(
        self, state: Mapping[str, int] | None, step: int
    ) -> Iterator[tuple[DetectorBatch, SamplerState]]:
        """See :class:`depth_pose_training.engine.loader.Loader`."""
        for number in count(step + 1):
            drawn = np.random.default_rng((self._seed, number))
            chosen = drawn.integers(0, len(self._data), self._size)[self._rows]
            flips = np.random.default_rng((self._seed, number, self._distributed.rank))
            yield self._data.batch(chosen, self._multiple, flips), {}


def make_task(
    model: PersonDetector,
    optimizer_config: OptimizerConfig,
    held_out: FrameSet,
    distributed: Distributed,
    loop_config: LoopConfig,
) -> Task[DetectorBatch]:
    """The network as :func:`depth_pose_training.engine.loop.fit` wants it."""
    model.to(distributed.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    winograd.use(model)

    def loss(module: nn.Module, batch: DetectorBatch, step: int) -> Tensor:
        with distributed.autocast(loop_config.precision):
            output = module(batch.depth)
        return detector_loss(DetectorOutput(*(o.float() for o in output)), batch, model.stride)

    def report() -> dict[str, Any]:
        return validate(model, held_out, _THRESHOLD, distributed.device)

    def draw() -> Image:
        return picture(model, held_out, _THRESHOLD, distributed.device)

    return Task(model, model, optimizer_config.make(model), loss, report, draw)


def run(args: argparse.Namespace) -> int:
    """Train by a command line's options; returns the steps done."""
    distributed = join(args.device)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    optimizer_config = OptimizerConfig(args.optimizer, args.rate, args.batch)
    loop_config = LoopConfig(
        args.steps, args.checkpoint_every, optimizer_config.rate, args.precision
    )
    if distributed.is_main_process:
        step_options.save(args.out, "train_detector", args)
    data, held_out = FrameSet(*args.data), FrameSet(args.validation)
    begin = args.begin_from
    model = run_folder.load_detector(begin) if begin else PersonDetector(DetectorConfig())
    return loop.fit(
        make_task(model, optimizer_config, held_out, distributed, loop_config),
        FrameLoader(data, optimizer_config.batch, args.seed, distributed, model.multiple),
        loop_config,
        Files(args.out / run_folder.FCN, args.out / run_folder.FCN_LOG),
        distributed,
        TensorBoardLogger(
            args.out / run_folder.TENSORBOARD if distributed.is_main_process else None
        ),
    )


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, help="folders of training shards")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add("--out", type=Path, required=True, help="folder of checkpoints and log")
    add(
        "--begin-from",
        type=Path,
        help="checkpoint of a detector (training, import_weights, average_models)",
    )
    add("--batch", type=int, default=16, help="frames per step, of all processes together")
    add("--optimizer", choices=OPTIMIZERS, default="muon")
    add("--rate", type=float, default=2e-3, help="highest learning rate")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    loop.add_arguments(parser, steps=6000, every=500)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "train_detector", argv))
