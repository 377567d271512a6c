"""Training of the person classifier.

It is trained last, on the FCN's features at the detections of a fixed detector in whole frames,
correct or not, and combined with the detector's score, as the estimator uses both.  It takes
minutes, most of them for the features, so it has no checkpoints.
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
from depth_pose_training.data import evenly_spaced
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.datasets import LabelledFrame, SyntheticShards
from depth_pose_training.data.datasets.base import LabelledFrames
from depth_pose_training.data.people import MATCH_DISTANCE, torso_centre
from depth_pose_training.engine import step_options, winograd
from depth_pose_training.engine.checkpoints import read, write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.learning import run_folder

_MIN_SCORE = 0.05  # of a detection
_MAX_DETECTIONS = 8  # per frame
_BATCH = 128
_NOISE = 0.1  # of the standardised context
_MIN_SCALE = 0.01  # of a nearly constant feature


class Examples(NamedTuple):
    """Training examples.

    Attributes:
        context: (N, F) of the FCN.
        detection: (N,) logits of the detector's scores.
        person: (N,) 1 for a person, 0 for none.
    """

    context: Tensor
    detection: Tensor
    person: Tensor


def labels(centres: NDArray[np.float64], frame: LabelledFrame) -> NDArray[np.float32]:
    """(N, 3) centres, metres -> (N,): 1 near a counted person, 0 far from all people, else NaN."""
    people = np.array([torso_centre(joints) for joints in frame.joints]).reshape(-1, 3)
    known = np.isfinite(people).all(-1)
    near = np.linalg.norm(centres[:, None] - people[None, known], axis=-1) <= MATCH_DISTANCE
    return np.where(
        near[:, frame.counted[known]].any(1), 1.0, np.where(near.any(1), np.nan, 0.0)
    ).astype(np.float32)


@torch.inference_mode()
def _contexts(fcn: nn.Module, images: Tensor) -> Tensor:
    """(B, 1, H, W) crops -> (2, B, F): unchanged and flipped."""
    both = [fcn(x.contiguous(memory_format=torch.channels_last)) for x in (images, images.flip(-1))]
    return torch.stack([output.context for output in both])


def examples(
    fcn: nn.Module, detector: PersonDetector, frames: LabelledFrames, limit: int
) -> Examples:
    """Examples from at most ``limit`` frames, each also flipped.

    Raises:
        UserError: there is no detection.
    """
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for i in tqdm(evenly_spaced(frames, limit), unit="frame"):
        frame = frames[int(i)]
        detections = detect(detector, frame.depth, frame.camera, _MIN_SCORE, _MAX_DETECTIONS)
        person = labels(np.array([f.centre for f in detections]).reshape(-1, 3), frame)
        kept = np.flatnonzero(np.isfinite(person))
        if not len(kept):
            continue
        cut = [
            crops.cut(frame.depth, frame.camera, crops.frame_around(detections[k].centre))
            for k in kept
        ]
        context = _contexts(fcn, torch.from_numpy(np.stack(cut))[:, None])
        score = torch.tensor([detections[k].score for k in kept]).logit(eps=1e-4)
        rows += [(c, score, torch.from_numpy(person[kept])) for c in context]
    if not rows:
        raise UserError("the detector has no detection in these frames")
    return Examples(*(torch.cat(column) for column in zip(*rows, strict=True)))


def person_crops(fcn: nn.Module, data: CropDataset, detection: float) -> Examples:
    """Examples from crops of people, with that detection logit, each also flipped."""
    rows = []
    for part in np.array_split(np.arange(len(data)), max(1, len(data) // 16)):
        rows += list(_contexts(fcn, data.batch(part).crops))
    context = torch.cat(rows)
    return Examples(context, torch.full((len(context),), detection), torch.ones(len(context)))


def loss(head: PersonClassifier, batch: Examples) -> Tensor:
    """Cross-entropy of :func:`depth_pose_ros.core.detection.combine_scores`."""
    combined = (batch.detection + head(batch.context)) / 2
    return F.binary_cross_entropy_with_logits(combined, batch.person)


def fit(
    head: PersonClassifier, data: Examples, epochs: int, rate: float, standardize: bool = True
) -> None:
    """Train the classifier in place; ``standardize``: scale its inputs by the data."""
    if standardize:
        head.mean.copy_(data.context.mean(0))
        head.scale.copy_(data.context.std(0).clamp(min=_MIN_SCALE))
    optimizer = torch.optim.AdamW(head.parameters(), rate, weight_decay=0.05)
    head.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(data.person)).split(_BATCH):
            batch = Examples(*(column[rows] for column in data))
            noise = _NOISE * head.scale * torch.randn_like(batch.context)
            optimizer.zero_grad()
            loss(head, batch._replace(context=batch.context + noise)).backward()
            optimizer.step()
    head.eval()


@torch.no_grad()
def shift_threshold(head: PersonClassifier, score: float) -> None:
    """Shift the bias so that a combined score of ``score`` becomes 0.5.

    The classifier contributes half of the combined logit.
    """
    head.logit.bias.sub_(2 * math.log(score / (1 - score)))


@torch.no_grad()
def report(head: PersonClassifier, data: Examples) -> dict[str, float]:
    """Cross-entropy, and the share of correct decisions at 0.5."""
    combined = (data.detection + head(data.context)) / 2
    right = ((combined > 0) == (data.person > 0.5)).float().mean()
    return {"loss": round(float(loss(head, data)), 4), "right": round(float(right), 4)}


def _int8_fcn(path: Path, fcn: CompactFcn, threads: int) -> nn.Module:
    """The FCN as ``quantize`` wrote it, made from weights in half precision."""
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
    """Train with a command line's options."""
    config = run_folder.start(args, "train_person_classifier")
    network = run_folder.load_network(args.run, config, args.fcn)
    fcn = network.fcn
    if not isinstance(fcn, CompactFcn):
        raise UserError("only the compact network has a person classifier")
    features: nn.Module = fcn
    if args.int8 is None:
        winograd.use(fcn)
    else:
        features = _int8_fcn(args.int8, fcn, args.threads)
    detector = run_folder.load_detector(args.detector).eval()
    parts = [examples(features, detector, SyntheticShards(d), args.frames) for d in args.data]
    typical = float(torch.cat([part.detection[part.person > 0.5] for part in parts]).median())
    parts += [person_crops(features, CropDataset(d, mapped=True), typical) for d in args.people]
    data = Examples(*(torch.cat(column) for column in zip(*parts, strict=True)))
    held_out = examples(features, detector, SyntheticShards(args.validation), args.frames)
    head = PersonClassifier(data.context.shape[1])
    if args.begin_from is not None:
        head.load_state_dict(read(args.begin_from)["model"])
    fit(head, data, args.epochs, args.rate, standardize=args.begin_from is None)
    shift_threshold(head, args.score_threshold)
    entry = {
        "examples": len(data.person),
        "people": int(data.person.sum()),
        "training": report(head, data),
        "held out": report(head, held_out),
    }
    print(entry)
    run_folder.log(args.run, "person", entry)
    write_whole(args.run / run_folder.PERSON, {"model": head.state_dict()})


def _probability(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {text}")
    return value


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description="Train the person classifier.")
    run_folder.add_arguments(parser)
    add = parser.add_argument
    add("--detector", type=Path, required=True, help="checkpoint.pt of train_detector")
    add("--data", type=Path, nargs="+", required=True, help="folders of shards with whole frames")
    add("--people", type=Path, nargs="*", default=[], help="folders of crops of real people")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add("--begin-from", type=Path, help="person.pt of another run, for initialization")
    add("--int8", type=Path, help="quantized FCN (an .xml file of quantize) for the features")
    add("--frames", type=int, default=4000, help="maximum number of frames per folder")
    add("--epochs", type=int, default=14)
    add("--rate", type=float, default=1e-3)
    add(
        "--score-threshold",
        type=_probability,
        default=0.5,
        help="person score that becomes 0.5; a lower one gives more detections and more false "
        "positives",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "train_person_classifier", argv))
