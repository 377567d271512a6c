"""Where UTD-MHAD's skeletons lie in its depth images, seen without any network.

``python -m depth_pose_training utd_registration --root UTD_MHAD``: how far the middle of a
head's silhouette is from its head joint, in columns.  By the sensor's nominal principal point the
skeletons lie beside the people, all to the same side; the reader's is moved by what this says.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.datasets.base import LabelledFrame, read
from depth_pose_training.data.datasets.utd_mhad import UtdMhad

_HEAD = INDEX["Head"]
_ROWS = 3  # above and below the joint
_DEEP = 0.25  # metres: what belongs to the head
_BROAD = 0.08, 0.26  # metres, a head in profile to one with an arm's edge


def row_offsets(frame: LabelledFrame) -> Iterator[float]:
    """Pixels from the head joint to the silhouette's middle, of each row that shows a head."""
    joints = frame.target.joints
    joint, (u, v) = joints[_HEAD], frame.camera.project(joints)[_HEAD]
    if not np.isfinite((u, v)).all():
        return
    for row in range(round(v) - _ROWS, round(v) + _ROWS + 1):
        if 0 <= row < frame.depth.shape[0]:
            left, right = _run(np.abs(frame.depth[row] - joint[2]) < _DEEP, round(u))
            metres = (right - left) * joint[2] / frame.camera.fx
            if _BROAD[0] <= metres <= _BROAD[1]:
                yield (left + right - 1) / 2 - u


def _run(mask: NDArray[np.bool_], at: int) -> tuple[int, int]:
    """First column of the run of True round ``at``, and the one behind its last; equal if none."""
    if not 0 <= at < len(mask) or not mask[at]:
        return at, at
    gaps = np.flatnonzero(~mask)
    before, after = gaps[gaps < at], gaps[gaps > at]
    return (int(before[-1]) + 1 if len(before) else 0), (int(after[0]) if len(after) else len(mask))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--subjects", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--limit", type=int, default=300, help="frames of each subject")
    args = parser.parse_args(argv)
    for subject in args.subjects:
        frames = UtdMhad(args.root, [subject])
        offsets = [o for frame in read(frames, args.limit) for o in row_offsets(frame)]
        middle = f"{np.median(offsets):+.2f} px" if offsets else "no head to be seen"
        print(f"subject {subject}: {middle} ({len(offsets)} rows)")
