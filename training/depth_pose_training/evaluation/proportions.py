"""Evaluate body proportions without labels: heights of joints above the floor, over the stature.

Of estimates of upright people on UTD-MHAD.  Floor and stature are those of the silhouette, so the
dataset must have its background removed.  Reference: heights of adults (Drillis and Contini, Body
Segment Parameters, 1966, as in Winter, Biomechanics and Motor Control of Human Movement).  This
shows errors of a tracker's labels, which the network learns with them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX, JOINTS
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.data import datasets
from depth_pose_training.data.datasets.base import LabelledFrame, read
from depth_pose_training.evaluation.labelled_frames import load_estimator
from depth_pose_training.evaluation.predictions import Estimator
from depth_pose_training.evaluation.report import markdown_table, number

#: Heights of joints over the stature.
ADULTS = {"Foot": 0.039, "Knee": 0.285, "Hip": 0.530, "Elbow": 0.630, "Shoulder": 0.818}
_SIDES = ("Left", "Right")
_UPRIGHT = 0.97  # cosine of the maximum tilt of a spine or leg: 14 degrees
_STRAIGHT = 0.985  # minimum distance from hip to foot over the sum of the two bones
_FOOT_WIDTH = 4  # pixels on both sides of the foot joint

Array = NDArray[np.float64]


def upright(joints: Array) -> bool:
    """Whether a person (19, 3) stands on straight legs, in a level camera's optical frame."""
    spine = joints[INDEX["DownSpine"]] - joints[INDEX["UpperSpine"]]
    straight = [spine[1] >= _UPRIGHT * np.linalg.norm(spine)]
    for side in _SIDES:
        hip, knee, foot = (joints[INDEX[side + part]] for part in ("Hip", "Knee", "Foot"))
        bones = np.linalg.norm(knee - hip) + np.linalg.norm(foot - knee)
        leg = foot - hip
        length = np.linalg.norm(leg)
        straight += [leg[1] >= _UPRIGHT * length, length >= _STRAIGHT * bones]
    return all(straight)


def heights(mask: NDArray[np.bool_], pixels: Array) -> Array | None:
    """Heights of the joints above the soles over the silhouette's height there.

    Args:
        mask: (H, W) bool, silhouette of the person.
        pixels: (19, 2) joints in the image.

    Returns:
        (19,), or None if the head or a foot is not on the silhouette, or if an arm is above the
        shoulders, where it can hide the top of the head.
    """
    arms = [pixels[INDEX[s + part], 1] for s in _SIDES for part in ("Elbow", "Hand")]
    if min(arms) < pixels[INDEX["UpperSpine"], 1]:
        return None
    head = _rows(mask, pixels[INDEX["Head"], 0], 1)
    left, right = (_rows(mask, pixels[INDEX[s + "Foot"], 0], _FOOT_WIDTH) for s in _SIDES)
    if not (len(head) and len(left) and len(right)):
        return None
    top, sole = head[0], (left[-1] + right[-1]) / 2 + 1
    return np.asarray((sole - pixels[:, 1]) / (sole - top)) if sole > top else None


def _rows(mask: NDArray[np.bool_], column: float, beside: int) -> NDArray[np.int64]:
    """Rows with a pixel of the mask at most ``beside`` columns away."""
    middle = round(float(column))
    return np.flatnonzero(mask[:, max(0, middle - beside) : max(0, middle + beside + 1)].any(1))


def of_frames(estimator: Estimator, frames: Iterator[LabelledFrame]) -> Array:
    """(N, 19) heights in the frames that show one upright person, by the highest score."""
    found = []
    for frame in frames:
        poses = estimator.estimate(frame.depth, frame.camera)
        best = max(poses, key=lambda pose: pose.score, default=None)
        if best is not None and upright(np.asarray(best.joints, dtype=np.float64)):
            shares = heights(frame.depth > 0, np.asarray(best.pixels, dtype=np.float64))
            if shares is not None:
                found.append(shares)
    return np.array(found).reshape(-1, len(JOINTS))


@dataclass(frozen=True)
class ProportionOptions:
    """Options of the step."""

    root: Path = option("folder of UTD-MHAD")
    subjects: tuple[int, ...] = option("subjects to evaluate", (7,))
    limit: int = option("maximum number of frames of each subject", 600)
    model: str | None = option("name or path of the weights (default: the shipped model)", None)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(ProportionOptions, argv, "evaluate_proportions")
    estimator = load_estimator(options.model)
    rows = []
    for subject in options.subjects:
        frames = datasets.open("utd_mhad", options.root, subjects=[subject], min_consistent=18)
        shares = of_frames(estimator, iter(read(frames, options.limit)))
        both = [shares[:, [INDEX[s + part] for s in _SIDES]].mean(1) for part in ADULTS]
        medians = [number(np.median(b) if len(b) else None, 3) for b in both]
        rows.append([f"subject {subject}", str(len(shares)), *medians])
    rows.append(["adults", "-", *(number(share, 3) for share in ADULTS.values())])
    print(markdown_table(["height over stature", "frames", *ADULTS], rows))
