"""Evaluation on real scenes: false positives, missed people, duplicates and 2-D PDJ.

Scenes are folders with a ``meta.json`` (fx, fy, cx, cy) and 16-bit PNG depth images in millimetres.
A folder with ``hand_labels_2d.json`` shows people: only the frames listed there are evaluated.  A
folder without shows no people.  The folder of SMPLify-Kids has one ``.npz`` file instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core.pose import Pose
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.configs.groups import CommonOptions
from depth_pose_training.data.datasets.base import DatasetError, LabelledFrame, LabelledPerson
from depth_pose_training.data.datasets.real_scenes import read_scenes
from depth_pose_training.data.people import MATCH_DISTANCE, torso_centre
from depth_pose_training.evaluation import pictures
from depth_pose_training.evaluation.labelled_frames import load_estimator
from depth_pose_training.evaluation.predictions import Estimator
from depth_pose_training.evaluation.report import plain, ratio, results_table, write_json
from depth_pose_training.learning import metrics

Array = NDArray[np.float64]

#: A pose matches a labelled person if their median pixel distance is at most this many torso
#: diameters.
MATCH = 0.5
_TORSO_LENGTH = 0.5  # metres, of an adult; where the torso is not labelled


@dataclass(frozen=True)
class SceneResult:
    """Estimates of one frame, matched with its people.

    Attributes:
        frame: the depth image and its labelled people.
        poses: the estimates.
        match: (N,) index of the person of every pose, -1 for none.
        duplicate: (N,) bool, poses without a person of their own that lie on a matched pose.
        distances: (P, 19) pixel distances in torso diameters; inf for missed people, NaN where a
            joint is not labelled.
    """

    frame: LabelledFrame
    poses: Sequence[Pose]
    match: NDArray[np.int64]
    duplicate: NDArray[np.bool_]
    distances: Array

    @property
    def scene(self) -> str:
        """Name of the scene."""
        return self.frame.key.rpartition("/")[0]

    @property
    def false(self) -> NDArray[np.bool_]:
        """(N,) bool, poses that are neither matched nor duplicates."""
        return (self.match < 0) & ~self.duplicate


def evaluate_frame(estimator: Estimator, frame: LabelledFrame) -> SceneResult:
    """Estimate a frame and match poses with labelled people, nearest pairs first, in the image.

    A pose without a person is a duplicate if its torso's centre is within
    :data:`depth_pose_training.data.people.MATCH_DISTANCE` of a matched pose's; otherwise it
    is a false positive.
    """
    poses = estimator.estimate(frame.depth, frame.camera)
    pixels = np.array([p.pixels for p in poses], float).reshape(-1, NUM_JOINTS, 2)
    distances = np.full((len(frame.people), len(poses), NUM_JOINTS), np.nan)
    for i, person in enumerate(frame.people):
        apart = np.linalg.norm(pixels - person.pixels, axis=-1) / _torso_pixels(frame, person)
        distances[i] = np.where(person.valid, apart, np.nan)
    match = np.full(len(poses), -1)
    truth = np.array([np.where(p.valid, np.inf, np.nan) for p in frame.people])
    truth = truth.reshape(-1, NUM_JOINTS)
    if distances.size:
        cost = np.nanmedian(distances, axis=-1)
        while cost.min() <= MATCH:
            i, k = np.unravel_index(cost.argmin(), cost.shape)
            match[k], truth[i] = i, distances[i, k]
            cost[i], cost[:, k] = np.inf, np.inf
    centres = np.array([torso_centre(p.joints) for p in poses]).reshape(-1, 3)
    apart = np.linalg.norm(centres[:, None] - centres[None, match >= 0], axis=-1)
    duplicate = (match < 0) & (apart < MATCH_DISTANCE).any(1)
    return SceneResult(frame, poses, match, duplicate, truth)


def _torso_pixels(frame: LabelledFrame, person: LabelledPerson) -> float:
    """Torso diameter in pixels: Neck (or the shoulders' midpoint) to the hips' midpoint.

    Where these are not labelled: that of an adult at the median depth of the labelled joints.
    """
    p = person.pixels
    hips = (p[INDEX["RightHip"]] + p[INDEX["LeftHip"]]) / 2
    shoulders = (p[INDEX["RightShoulder"]] + p[INDEX["LeftShoulder"]]) / 2
    for top in (p[INDEX["Neck"]], shoulders):
        length = float(np.linalg.norm(top - hips))
        if np.isfinite(length) and length > 0:
            return length
    h, w = frame.depth.shape
    u, v = np.clip(p[person.valid].round().astype(int), 0, (w - 1, h - 1)).T
    depth = frame.depth[v, u]
    if not (depth > 0).any():
        raise DatasetError(f"{frame.key}: no depth at the labelled joints")
    return float(frame.camera.fx * _TORSO_LENGTH / np.median(depth[depth > 0]))


def measure(results: Sequence[SceneResult]) -> dict[str, float | int | None]:
    """Numbers of some frames; None where nothing was measured."""
    false = np.array([r.false.sum() for r in results])
    duplicates = np.array([r.duplicate.sum() for r in results])
    people = sum(len(r.frame.people) for r in results)
    found = sum(int((r.match >= 0).sum()) for r in results)
    distances = np.concatenate([r.distances for r in results])
    pdj = metrics.pdj(distances)
    return {
        "frames": len(results),
        "frames_with_false_positive": int((false > 0).sum()),
        "share_with_false_positive": ratio((false > 0).sum(), len(results)),
        "false_positives": int(false.sum()),
        "false_per_frame": ratio(false.sum(), len(results)),
        "people": people,
        "found": found,
        "recall": ratio(found, people),
        "duplicates": int(duplicates.sum()),
        "frames_with_duplicate": int((duplicates > 0).sum()),
        "pdj_20": plain(pdj[metrics.PDJ_THRESHOLDS.index(0.20)], 4),
        "pdj_average": plain(pdj.mean(), 4),
    }


def evaluate(estimator: Estimator, frames: Iterable[LabelledFrame]) -> list[SceneResult]:
    """Results of all frames."""
    return [evaluate_frame(estimator, frame) for frame in frames]


def summarize(results: Sequence[SceneResult]) -> dict[str, dict[str, float | int | None]]:
    """:func:`measure` by scene, and of all frames as row "all"."""
    scenes = {r.scene: [x for x in results if x.scene == r.scene] for r in results}
    return {name: measure(some) for name, some in {**scenes, "all": list(results)}.items()}


def table(summary: Mapping[str, Mapping[str, float | int | None]]) -> str:
    """The summary as a Markdown table, without the columns about people where there are none."""
    columns = list(summary["all"])
    if not summary["all"]["people"]:
        columns = columns[: columns.index("people")]
    return results_table("scene", summary, columns)


def write_pictures(folder: Path, results: Sequence[SceneResult]) -> list[Path]:
    """Write a PNG for every frame with a false positive, a duplicate or a missed person.

    Labels are green, matched estimates white, false positives red, duplicates orange.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for r in results:
        missed = len(r.frame.people) - int((r.match >= 0).sum())
        if not (r.false.any() or r.duplicate.any() or missed):
            continue
        layers = [(p.pixels, pictures.TRUTH) for p in r.frame.people]
        texts = []
        for pose, person, false, duplicate in zip(
            r.poses, r.match, r.false, r.duplicate, strict=True
        ):
            color = (
                pictures.FALSE_POSITIVE
                if false
                else pictures.DUPLICATE
                if duplicate
                else pictures.MATCHED
            )
            layers.append((np.asarray(pose.pixels, float), color))
            kind = "false positive" if false else "duplicate" if duplicate else f"person {person}"
            confidence = float(np.mean(pose.confidence))
            texts.append((f"{kind}: score {pose.score:.2f}, confidence {confidence:.2f}", color))
        if missed:
            texts.append((f"missed: {missed}", pictures.TRUTH))
        image = pictures.overlay(r.frame, layers, [(r.frame.key, (255, 255, 255)), *texts])
        path = folder / f"{r.frame.key.replace('/', '_')}.png"
        if not cv2.imwrite(str(path), image):
            raise OSError(f"could not write {path}")
        paths.append(path)
    return paths


@dataclass(frozen=True)
class SceneOptions(CommonOptions):
    """Options of the step."""

    root: Path = option("folder of scenes")
    split: str = option("subfolder of the root: train, validation, ...", "")
    model: str = option("name or path of the weights; empty: the shipped model", "")
    options: tuple[str, ...] = option("NAME=VALUE, options of EstimatorOptions", ())
    pictures: Path | None = option("folder for pictures of frames with errors", None)
    out: Path = option("JSON file of the results", Path("build/real_scenes.json"))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = parse(SceneOptions, argv, "real_scenes")
    torch.set_num_threads(args.threads)
    options: dict[str, Any] = {"device": "cpu", "threads": args.threads}
    options |= {k: yaml.safe_load(v) for k, _, v in (o.partition("=") for o in args.options)}
    frames = list(read_scenes(args.root, args.split))
    results = evaluate(load_estimator(args.model, **options), tqdm(frames, unit="frame"))
    summary = summarize(results)
    print(table(summary))
    header = {"model": args.model, "data": str(args.root / args.split), "options": options}
    write_json(args.out, summary, command="real_scenes", **header)
    if args.pictures is not None:
        write_pictures(args.pictures, results)
