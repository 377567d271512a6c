"""UTD-MHAD: real Kinect v1 depth with the tracker's 3-D joints (Chen et al., ICIP 2015).

Three things about the files need care:

* The Kinect SDK mirrors its images: a person's right hand lies on the image's right.  Frames come
  out as a ROS optical frame shows them: column u becomes width - 1 - u, and x changes sign.  Names
  need no swap: the tracker's "right" is the person's own already.
* Skeleton and depth are not synchronous.  ``depth[t]`` belongs to the skeleton at time t + lag,
  with ``seq_lag.csv``'s ``best_skeleton_lag`` (about -1.75 frames), read by linear interpolation.
  (The lag is negative: the skeleton that fits is an earlier one.)
* The tracker is wrong at times.  ``frame_consistency.csv`` says which of its 20 joints lie on the
  person and agree with the depth.

The truth has no Neck, and its "foot" is left out: our Foot is the tracker's ankle.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_ros.demo.utd_mhad import CAMERA
from depth_pose_training.data.datasets.base import DatasetError, LabelledFrame
from depth_pose_training.data.datasets.matlab import read_matrix

DEFAULT_LAG = -1.75  #: frames from a depth image to its skeleton, where seq_lag.csv has none

#: Row of the Kinect v1 tracker's skeleton for each of our joints; its rows 15 and 19 (the toes'
#: side of the feet) have no counterpart.
KINECT_V1: dict[str, int] = {
    "Head": 0,
    "UpperSpine": 1,
    "MiddleSpine": 2,
    "DownSpine": 3,
    "LeftShoulder": 4,
    "LeftElbow": 5,
    "LeftWrist": 6,
    "LeftHand": 7,
    "RightShoulder": 8,
    "RightElbow": 9,
    "RightWrist": 10,
    "RightHand": 11,
    "LeftHip": 12,
    "LeftKnee": 13,
    "LeftFoot": 14,
    "RightHip": 16,
    "RightKnee": 17,
    "RightFoot": 18,
}
_OURS = np.array([INDEX[name] for name in KINECT_V1])
_THEIRS = np.array(list(KINECT_V1.values()))
_TRACKER_JOINTS = 20


@dataclass(frozen=True, order=True)
class Recording:
    """One recording: a subject's trial of an action."""

    subject: int
    action: int
    trial: int

    @classmethod
    def parse(cls, name: str) -> "Recording":
        """From the files' naming, "a3_s1_t2"."""
        try:
            a, s, t = name.split("_")
            if (a[0], s[0], t[0]) != ("a", "s", "t"):
                raise ValueError
            return cls(int(s[1:]), int(a[1:]), int(t[1:]))
        except (ValueError, IndexError):
            raise DatasetError(f"{name!r} is no UTD-MHAD recording such as a3_s1_t2") from None

    def __str__(self) -> str:
        return f"a{self.action}_s{self.subject}_t{self.trial}"


def skeleton_at(skeleton: NDArray[np.float64], time: float) -> NDArray[np.float64]:
    """Linear interpolation of (20, 3, T) at a time in frames; held at both ends.  (20, 3)."""
    last = skeleton.shape[2] - 1
    time = min(max(time, 0.0), float(last))
    before = int(time)
    after = min(before + 1, last)
    weight = time - before
    return (1 - weight) * skeleton[:, :, before] + weight * skeleton[:, :, after]


def to_our_joints(tracked: NDArray[np.float64]) -> NDArray[np.float64]:
    """The tracker's (20, 3), x image-right of the mirrored image, y up -> (19, 3), optical frame.

    Mirroring back turns x round, and the optical frame's y points down.  Neck is NaN.
    """
    joints = np.full((NUM_JOINTS, 3), np.nan)
    joints[_OURS] = tracked[_THEIRS] * (-1.0, -1.0, 1.0)
    return joints


class UtdMhad:
    """Frames of chosen subjects, in order of subject, action, trial and time.

    Args:
        root: folder with ``Depth``, ``Skeleton``, ``seq_lag.csv`` and ``frame_consistency.csv``.
        subjects: subject numbers; all shipped ones by default.
        actions: action numbers 1 to 27; all by default.
        min_consistent: keep frames with at least this many of the tracker's 20 joints consistent
            with the depth image.  18 or more make a usable test set.
        stride: keep every stride-th of them.
        trust: "all" marks every joint of a kept frame valid; "consistent" only those consistent
            with the depth image, which also leaves out many joints hidden by others.

    Raises:
        DatasetError: the folder is not the dataset, or nothing in it matches.
    """

    name = "utd_mhad"
    torso_top = "UpperSpine"

    def __init__(
        self,
        root: str | Path,
        subjects: Sequence[int] | None = None,
        actions: Sequence[int] | None = None,
        min_consistent: int = 18,
        stride: int = 1,
        trust: str = "all",
    ) -> None:
        if stride < 1:
            raise ValueError(f"stride must be at least 1, got {stride}")
        if trust not in ("all", "consistent"):
            raise ValueError(f'trust must be "all" or "consistent", got {trust!r}')
        self.root = Path(root)
        self.trust = trust
        self._lags = _read_lags(self.root / "seq_lag.csv")
        flags = _read_flags(self.root / "frame_consistency.csv")
        self._flags = {
            recording: rows
            for recording, rows in sorted(flags.items())
            if (subjects is None or recording.subject in subjects)
            and (actions is None or recording.action in actions)
        }
        kept = [
            (recording, int(t))
            for recording, rows in self._flags.items()
            for t in np.flatnonzero(rows.sum(1) >= min_consistent)
        ]
        self.frames = kept[::stride]
        if not self.frames:
            present = sorted({recording.subject for recording in flags})
            raise DatasetError(
                f"no frame of {self.root} has subject in {subjects or 'any'}, action in "
                f"{actions or 'any'} and {min_consistent} consistent joints; "
                f"subjects there: {present}"
            )
        # One recording at a time: neighbouring frames are read together, and memory stays small.
        self._load = lru_cache(maxsize=1)(self._read_recording)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> LabelledFrame:
        recording, t = self.frames[index]
        depth, skeleton = self._load(recording)
        joints = to_our_joints(skeleton_at(skeleton, t + self._lags.get(recording, DEFAULT_LAG)))
        valid = np.array(np.isfinite(joints).all(-1))
        if self.trust == "consistent":
            valid[_OURS] &= self._flags[recording][t][_THEIRS]
        return LabelledFrame(
            depth=np.ascontiguousarray(depth[:, ::-1, t], dtype=np.float32) / np.float32(1000),
            camera=CAMERA,
            joints=joints,
            pixels=CAMERA.project(joints),
            valid=valid,
            key=f"{recording}/{t}",
        )

    def _read_recording(
        self, recording: Recording
    ) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
        depth = read_matrix(self.root / "Depth" / f"{recording}_depth.mat", "d_depth")
        skeleton = read_matrix(self.root / "Skeleton" / f"{recording}_skeleton.mat", "d_skel")
        count = len(self._flags[recording])
        shape = (CAMERA.height, CAMERA.width, count)
        if depth.shape != shape:
            raise DatasetError(f"{recording}: depth has the shape {depth.shape}, not {shape}")
        if skeleton.shape != (_TRACKER_JOINTS, 3, count):
            raise DatasetError(
                f"{recording}: skeleton has the shape {skeleton.shape}, "
                f"not {(_TRACKER_JOINTS, 3, count)}"
            )
        return depth, skeleton


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: is the root the dataset's folder?") from None


def _read_lags(path: Path) -> dict[Recording, float]:
    return {Recording.parse(r["seq"]): float(r["best_skeleton_lag"]) for r in _rows(path)}


def _read_flags(path: Path) -> dict[Recording, NDArray[np.bool_]]:
    """(T, 20) per recording: which of the tracker's joints are consistent with the depth."""
    flags: dict[Recording, list[list[bool]]] = {}
    for row in _rows(path):
        frames = flags.setdefault(Recording.parse(row["seq"]), [])
        if int(row["frame"]) != len(frames):
            raise DatasetError(f"{path}: {row['seq']} skips from frame {len(frames)}")
        frames.append([c == "1" for c in row["per_joint_flags_20"]])
    return {recording: np.array(rows, dtype=bool) for recording, rows in flags.items()}
