"""Whether a crop holds a person: ``python -m depth_pose_training train_person_classifier --help``.

The head learns last, on what a fixed FCN sees wherever a fixed person detector finds somebody in
whole frames, rightly or not, and together with the detector's own score, as the estimator uses both.
Takes minutes, most of them to look at the frames, so it has no checkpoints of its own.
"""

import argparse
import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from depth_pose_ros.core import crops
from depth_pose_ros.core.detection import detect
from depth_pose_ros.core.models.detector import PersonDetector
from depth_pose_ros.core.models.fcn import CompactFcn
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_training.configs import options
from depth_pose_training.data import evenly_spaced
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.datasets import LabelledFrame, SyntheticShards
from depth_pose_training.data.datasets.base import LabelledFrames
from depth_pose_training.engine import winograd
from depth_pose_training.engine.checkpoints import write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.predictions import SAME_PLACE, place
from depth_pose_training.learning import run_folder

_LEAST = 0.05  # finds with lower scores are not worth a pose
_MOST = 8  # of one frame
_BATCH = 128
_NOISE = 0.1  # of the standardised context
_LEAST_SCALE = 0.01  # of a number that hardly ever changes


class Candidates(NamedTuple):
    """What there is to learn from.

    Attributes:
        context: (N, F) of the FCN.
        find: (N,) logits of the detector's scores.
        person: (N,) 1 for a person, 0 for none.
    """

    context: Tensor
    find: Tensor
    person: Tensor


def labels(found: NDArray[np.float64], frame: LabelledFrame) -> NDArray[np.float32]:
    """(N, 3) finds, metres -> (N,) 1 near a person who is asked for, 0 far from all, else NaN."""
    people = np.array([place(joints) for joints in frame.joints]).reshape(-1, 3)
    asked = frame.counted
    there = np.isfinite(people).all(-1)
    near = np.linalg.norm(found[:, None] - people[None, there], axis=-1) <= SAME_PLACE
    return np.where(near[:, asked[there]].any(1), 1.0, np.where(near.any(1), np.nan, 0.0)).astype(
        np.float32
    )


@torch.inference_mode()
def _contexts(fcn: nn.Module, images: Tensor) -> Tensor:
    """(B, 1, H, W) crops -> (2, B, F): as they are, and mirrored."""
    both = [fcn(x.contiguous(memory_format=torch.channels_last)) for x in (images, images.flip(-1))]
    return torch.stack([output.context for output in both])


def look(
    fcn: nn.Module, detector: PersonDetector, frames: LabelledFrames, limit: int
) -> Candidates:
    """Candidates of at most ``limit`` frames, each also as its mirror image.

    Raises:
        UserError: nobody was found in any of them.
    """
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for i in tqdm(evenly_spaced(frames, limit), unit="frame"):
        frame = frames[int(i)]
        finds = detect(detector, frame.depth, frame.camera, _LEAST, _MOST)
        person = labels(np.array([f.centre for f in finds]).reshape(-1, 3), frame)
        kept = np.flatnonzero(np.isfinite(person))
        if not len(kept):
            continue
        cut = [
            crops.cut(frame.depth, frame.camera, crops.frame_around(finds[k].centre)) for k in kept
        ]
        context = _contexts(fcn, torch.from_numpy(np.stack(cut))[:, None])
        score = torch.tensor([finds[k].score for k in kept]).logit(eps=1e-4)
        rows += [(c, score, torch.from_numpy(person[kept])) for c in context]
    if not rows:
        raise UserError("the detector found nobody in these frames: there is nothing to learn from")
    return Candidates(*(torch.cat(column) for column in zip(*rows, strict=True)))


def people_only(fcn: nn.Module, data: CropDataset, find: float) -> Candidates:
    """Crops that all show a person, found with that logit, each also as its mirror image."""
    rows = []
    for part in np.array_split(np.arange(len(data)), max(1, len(data) // 16)):
        rows += list(_contexts(fcn, data.batch(part).crops))
    context = torch.cat(rows)
    return Candidates(context, torch.full((len(context),), find), torch.ones(len(context)))


def loss(head: PersonClassifier, batch: Candidates) -> Tensor:
    """Cross-entropy of the score that :func:`depth_pose_ros.core.detection.combine_scores` makes of both."""
    together = (batch.find + head(batch.context)) / 2
    return F.binary_cross_entropy_with_logits(together, batch.person)


def learn(head: PersonClassifier, data: Candidates, epochs: int, rate: float) -> None:
    """Fit the head in place."""
    head.mean.copy_(data.context.mean(0))
    head.scale.copy_(data.context.std(0).clamp(min=_LEAST_SCALE))
    optimizer = torch.optim.AdamW(head.parameters(), rate, weight_decay=0.05)
    head.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(data.person)).split(_BATCH):
            batch = Candidates(*(column[rows] for column in data))
            noise = _NOISE * head.scale * torch.randn_like(batch.context)
            optimizer.zero_grad()
            loss(head, batch._replace(context=batch.context + noise)).backward()
            optimizer.step()
    head.eval()


@torch.no_grad()
def lean(head: PersonClassifier, half: float) -> None:
    """Change the head in place, so that what it and the detector gave ``half`` together is 0.5.

    It counts for one half of the sum of logits (:func:`depth_pose_ros.core.detection.combine_scores`).
    """
    head.logit.bias.sub_(2 * math.log(half / (1 - half)))


@torch.no_grad()
def report(head: PersonClassifier, data: Candidates) -> dict[str, float]:
    """Cross-entropy, and the share of candidates on the right side of one half."""
    together = (data.find + head(data.context)) / 2
    right = ((together > 0) == (data.person > 0.5)).float().mean()
    return {"loss": round(float(loss(head, data)), 4), "right": round(float(right), 4)}


def _whole_numbers(path: Path, fcn: CompactFcn, threads: int) -> nn.Module:
    """The FCN as quantize left it; weights files, from which that was made, are half precision."""
    # Imported here: OpenVINO is optional.
    from depth_pose_ros.core.backends import int8
    from depth_pose_ros.core.backends.openvino_models import CompiledModel
    from depth_pose_training.learning.compiled_fcn import CompiledFcn

    try:
        model = int8.read(path, copy.deepcopy(fcn).half().float())
    except int8.Int8Error as error:
        raise UserError(str(error)) from error
    return CompiledFcn(CompiledModel(model, threads), fcn)


def run(args: argparse.Namespace) -> None:
    """Learn by a command line's options."""
    config = run_folder.start(args, "train_person_classifier")
    network = run_folder.load_network(args.run, config, args.fcn)
    fcn = network.fcn
    if not isinstance(fcn, CompactFcn):
        raise UserError("only the compact network has a person head")
    see: nn.Module = fcn
    if args.int8 is None:
        winograd.use(fcn)
    else:
        see = _whole_numbers(args.int8, fcn, args.threads)
    detector = run_folder.load_detector(args.detector).eval()
    seen = [look(see, detector, SyntheticShards(folder), args.frames) for folder in args.data]
    sure = float(torch.cat([s.find[s.person > 0.5] for s in seen]).median())
    seen += [people_only(see, CropDataset(folder, mapped=True), sure) for folder in args.people]
    data = Candidates(*(torch.cat(column) for column in zip(*seen, strict=True)))
    held_out = look(see, detector, SyntheticShards(args.validation), args.frames)
    head = PersonClassifier(data.context.shape[1])
    learn(head, data, args.epochs, args.rate)
    lean(head, args.half)
    entry = {
        "candidates": len(data.person),
        "people": int(data.person.sum()),
        "training": report(head, data),
        "held out": report(head, held_out),
    }
    print(entry)
    run_folder.log(args.run, "person", entry)
    write_whole(args.run / run_folder.PERSON, {"model": head.state_dict()})


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {text}")
    return value


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    run_folder.add_arguments(parser)
    add = parser.add_argument
    add("--detector", type=Path, required=True, help="train_detector's checkpoint.pt")
    add("--data", type=Path, nargs="+", required=True, help="folders of shards with whole frames")
    add("--people", type=Path, nargs="*", default=[], help="folders of crops of real people")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add(
        "--int8",
        type=Path,
        help="look with the same FCN in whole numbers, as quantize made it (an .xml file): several "
        "times as fast, and it is what the node has",
    )
    add("--frames", type=int, default=4000, help="at most so many of each folder")
    add("--epochs", type=int, default=14)
    add("--rate", type=float, default=1e-3)
    add(
        "--half",
        type=_share,
        default=0.5,
        help="which score is to become one half: a lower one finds more people, and more ghosts",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(options.parse(arguments(), "train_person_classifier", argv))
