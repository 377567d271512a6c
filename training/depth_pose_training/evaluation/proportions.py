"""Whether joints are where people have theirs, without labels: ``python -m
depth_pose_training evaluate_proportions --root UTD_MHAD``.

The heights of estimated joints above the floor, as shares of the person's own stature, of people
who stand upright; floor and stature are the silhouette's, so that the dataset must have its
background removed.  Beside them what anthropometry says of adults (Drillis and Contini, Body
Segment Parameters, 1966, as in Winter, Biomechanics and Motor Control of Human Movement).  A
tracker's labels can be learned well and be beside the joints all the same: this sees it.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX, JOINTS
from depth_pose_training.data import datasets
from depth_pose_training.data.datasets.base import LabelledFrame, read
from depth_pose_training.evaluation.labelled_frames import load_estimator
from depth_pose_training.evaluation.predictions import Estimator

#: Heights of joints over stature.
ADULTS = {"Foot": 0.039, "Knee": 0.285, "Hip": 0.530, "Elbow": 0.630, "Shoulder": 0.818}
_SIDES = ("Left", "Right")
_UPRIGHT = 0.97  # cosine of what a spine or a leg may lean by: 14 degrees
_STRAIGHT = 0.985  # a leg's length over its two bones'
_BESIDE = 4  # pixels to a foot's sides

Array = NDArray[np.float64]


def upright(joints: Array) -> bool:
    """Whether somebody (19, 3) stands on straight legs, in a level camera's optical frame."""
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
        mask: (h, w) where the person is.
        pixels: (19, 2) joints in the image.

    Returns:
        (19,), or None where head or feet are not on the silhouette, or arms are above shoulders,
        where they can hide the top of the head.
    """
    arms = [pixels[INDEX[s + part], 1] for s in _SIDES for part in ("Elbow", "Hand")]
    if min(arms) < pixels[INDEX["UpperSpine"], 1]:
        return None
    head = _rows(mask, pixels[INDEX["Head"], 0], 1)
    left, right = (_rows(mask, pixels[INDEX[s + "Foot"], 0], _BESIDE) for s in _SIDES)
    if not (len(head) and len(left) and len(right)):
        return None
    top, sole = head[0], (left[-1] + right[-1]) / 2 + 1
    return np.asarray((sole - pixels[:, 1]) / (sole - top)) if sole > top else None


def _rows(mask: NDArray[np.bool_], column: float, beside: int) -> NDArray[np.int64]:
    """Rows with a pixel of the mask at most ``beside`` columns away."""
    middle = round(float(column))
    return np.flatnonzero(mask[:, max(0, middle - beside) : max(0, middle + beside + 1)].any(1))


def of_frames(estimator: Estimator, frames: Iterator[LabelledFrame]) -> Array:
    """(N, 19) heights in the frames that show one upright person, the surest that is found."""
    found = []
    for frame in frames:
        poses = estimator.estimate(frame.depth, frame.camera)
        surest = max(poses, key=lambda pose: pose.score, default=None)
        if surest is not None and upright(np.asarray(surest.joints, dtype=np.float64)):
            shares = heights(frame.depth > 0, np.asarray(surest.pixels, dtype=np.float64))
            if shares is not None:
                found.append(shares)
    return np.array(found).reshape(-1, len(JOINTS))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--subjects", type=int, nargs="+", default=[7])
    parser.add_argument("--limit", type=int, default=600, help="frames of each subject")
    parser.add_argument("--model", help="name or path of the weights (default: the shipped model)")
    args = parser.parse_args(argv)
    estimator = load_estimator(args.model, "cpu", "full")
    print("height over stature  " + "".join(f"{part:>10}" for part in ADULTS))
    for subject in args.subjects:
        frames = datasets.open("utd_mhad", args.root, subjects=[subject], min_consistent=18)
        shares = of_frames(estimator, iter(read(frames, args.limit)))
        both = [shares[:, [INDEX[s + part] for s in _SIDES]].mean(1) for part in ADULTS]
        row = "".join(f"{np.median(b):10.3f}" if len(b) else f"{'-':>10}" for b in both)
        print(f"subject {subject} ({len(shares):3d} frames)" + row)
    print("adults" + " " * 15 + "".join(f"{share:10.3f}" for share in ADULTS.values()))
