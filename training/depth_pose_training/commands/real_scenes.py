"""Evaluate a model on real scenes: false positives, missed people, duplicates, 2-D PDJ."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from tqdm import tqdm

from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.configs.groups import CommonOptions
from depth_pose_training.data.datasets.real_scenes import read_scenes
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation import real_scenes
from depth_pose_training.evaluation.report import write_json


@dataclass(frozen=True)
class Options(CommonOptions):
    root: Path = option("folder of scenes")
    split: str = option("subfolder of the root: train, validation, ...", "")
    model: str = option("name or path of the weights; empty: the shipped model", "")
    options: tuple[str, ...] = option("NAME=VALUE, options of EstimatorOptions", ())
    pictures: Path | None = option("folder for pictures of frames with errors", None)
    out: Path = option("JSON file of the results", Path("build/real_scenes.json"))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = parse(Options, argv, "real_scenes")
    torch.set_num_threads(args.threads)
    options: dict[str, Any] = {"device": "cpu", "threads": args.threads}
    options |= {k: yaml.safe_load(v) for k, _, v in (o.partition("=") for o in args.options)}
    frames = list(read_scenes(args.root, args.split))
    try:
        estimator = PoseEstimator.from_pretrained(args.model, **options)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from error
    results = real_scenes.evaluate(estimator, tqdm(frames, unit="frame"))
    summary = real_scenes.summarize(results)
    print(real_scenes.table(summary))
    header = {"model": args.model, "data": str(args.root / args.split), "options": options}
    write_json(args.out, summary, command="real_scenes", **header)
    if args.pictures is not None:
        real_scenes.write_pictures(args.pictures, results)
