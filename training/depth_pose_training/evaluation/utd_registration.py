"""Measure the offset of UTD-MHAD's skeletons from its depth images, without a network.

The offset is the horizontal distance in pixels from the head joint to the middle of the head's
silhouette.  The reader corrects the sensor's nominal principal point by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.data.datasets.base import LabelledFrame, read
from depth_pose_training.data.datasets.utd_mhad import UtdMhad

_HEAD = INDEX["Head"]
_ROWS = 3  # above and below the joint
_MAX_DEPTH = 0.25  # metres from the head joint to pixels of the head, along the axis
_WIDTHS = 0.08, 0.26  # metres, range of widths of a head


def row_offsets(frame: LabelledFrame) -> Iterator[float]:
    """Pixels from the head joint to the middle of the silhouette, for each row of the head."""
    joints = frame.target.joints
    joint, (u, v) = joints[_HEAD], frame.camera.project(joints)[_HEAD]
    if not np.isfinite((u, v)).all():
        return
    for row in range(round(v) - _ROWS, round(v) + _ROWS + 1):
        if 0 <= row < frame.depth.shape[0]:
            left, right = _run(np.abs(frame.depth[row] - joint[2]) < _MAX_DEPTH, round(u))
            metres = (right - left) * joint[2] / frame.camera.fx
            if _WIDTHS[0] <= metres <= _WIDTHS[1]:
                yield (left + right - 1) / 2 - u


def _run(mask: NDArray[np.bool_], at: int) -> tuple[int, int]:
    """Half-open range of columns of the run of True at ``at``; empty if there is none."""
    if not 0 <= at < len(mask) or not mask[at]:
        return at, at
    gaps = np.flatnonzero(~mask)
    before, after = gaps[gaps < at], gaps[gaps > at]
    return (int(before[-1]) + 1 if len(before) else 0), (int(after[0]) if len(after) else len(mask))


@dataclass(frozen=True)
class RegistrationOptions:
    """Options of the step."""

    root: Path = option("folder of UTD-MHAD")
    subjects: tuple[int, ...] = option("subjects to measure", (1, 3, 5))
    limit: int = option("maximum number of frames of each subject", 300)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(RegistrationOptions, argv, "utd_registration")
    for subject in options.subjects:
        frames = UtdMhad(options.root, [subject])
        offsets = [o for frame in read(frames, options.limit) for o in row_offsets(frame)]
        median = f"{np.median(offsets):+.2f} px" if offsets else "no visible head"
        print(f"subject {subject}: {median} ({len(offsets)} rows)")
