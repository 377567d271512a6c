"""UTD-MHAD: Kinect v1 depth images with 3-D joints of the tracker (Chen et al., ICIP 2015).

Three properties of the files need care:

* The Kinect SDK mirrors its images: a person's right hand lies on the right of the image.  Frames
  are flipped to a ROS optical frame: column u becomes width - 1 - u, and x changes its sign.  Joint
  names need no swap: the tracker's "right" is the person's right.
* Skeleton and depth are not synchronous.  ``depth[t]`` belongs to the skeleton at time t + lag,
  with ``best_skeleton_lag`` of ``seq_lag.csv`` (about -1.75 frames); skeletons are interpolated.
* The tracker fails at times.  ``frame_consistency.csv`` lists which of its 20 joints lie on the
  person and agree with the depth image.

The labels have no Neck.  Foot is the tracker's ankle; the tracker's "foot" is not used.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_ros.demo.sources.utd_mhad import CAMERA
from depth_pose_training.data.datasets.base import (
    DatasetError,
    LabelledFrame,
    LabelledFrames,
    LabelledPerson,
    check_stride,
)

DEFAULT_LAG = -1.75  #: frames, for recordings without an entry in seq_lag.csv

#: Row of the Kinect v1 tracker's skeleton for each joint; its rows 15 and 19 (feet) are not used.
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
_JOINTS = np.array([INDEX[name] for name in KINECT_V1])
_ROWS = np.array(list(KINECT_V1.values()))
_TRACKER_JOINTS = 20


@dataclass(frozen=True, order=True)
class Recording:
    """One recording: a subject's trial of an action."""

    subject: int
    action: int
    trial: int

    @classmethod
    def parse(cls, name: str) -> "Recording":
        """From a file name such as "a3_s1_t2"."""
        try:
            a, s, t = name.split("_")
            if (a[0], s[0], t[0]) != ("a", "s", "t"):
                raise ValueError
            return cls(int(s[1:]), int(a[1:]), int(t[1:]))
        except (ValueError, IndexError):
            raise DatasetError(
                f"{name!r} is not the name of a UTD-MHAD recording, such as a3_s1_t2"
            ) from None

    def __str__(self) -> str:
        return f"a{self.action}_s{self.subject}_t{self.trial}"


def skeleton_at(skeleton: NDArray[np.float64], time: float) -> NDArray[np.float64]:
    """Interpolate (20, 3, T) linearly at a time in frames, clamped at both ends: (20, 3)."""
    last = skeleton.shape[2] - 1
    time = min(max(time, 0.0), float(last))
    before = int(time)
    after = min(before + 1, last)
    weight = time - before
    return (1 - weight) * skeleton[:, :, before] + weight * skeleton[:, :, after]


def to_our_joints(tracked: NDArray[np.float64]) -> NDArray[np.float64]:
    """The tracker's (20, 3), y up, of the mirrored image -> (19, 3), optical frame; Neck is NaN."""
    joints = np.full((NUM_JOINTS, 3), np.nan)
    joints[_JOINTS] = tracked[_ROWS] * (-1.0, -1.0, 1.0)
    return joints


class UtdMhad(LabelledFrames):
    """Frames of some subjects, in order of subject, action, trial and time.

    Args:
        root: folder with ``Depth``, ``Skeleton``, ``seq_lag.csv`` and ``frame_consistency.csv``.
        subjects: subject numbers; all by default.
        actions: action numbers 1 to 27; all by default.
        min_consistent: minimum number of the tracker's 20 joints that agree with the depth image,
            for a frame to be used.
        stride: use every n-th of these frames.
        trust: "all" marks every joint of a frame valid; "consistent" only those that agree with the
            depth image, which also excludes many occluded joints.

    Raises:
        DatasetError: the folder is not the dataset, or no frame matches.
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
        check_stride(stride)
        if trust not in ("all", "consistent"):
            raise DatasetError(f'trust must be "all" or "consistent", got {trust!r}')
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
        # Only the last recording is kept in memory.
        self._load = lru_cache(maxsize=1)(self._read_recording)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> LabelledFrame:
        recording, t = self.frames[index]
        depth, skeleton = self._load(recording)
        joints = to_our_joints(skeleton_at(skeleton, t + self._lags.get(recording, DEFAULT_LAG)))
        valid = np.array(np.isfinite(joints).all(-1))
        if self.trust == "consistent":
            valid[_JOINTS] &= self._flags[recording][t][_ROWS]
        metres = np.ascontiguousarray(depth[:, ::-1, t], dtype=np.float32) / np.float32(1000)
        person = LabelledPerson(joints, CAMERA.project(joints), valid, bool(valid.any()))
        return LabelledFrame(metres, CAMERA, (person,), f"{recording}/{t}")

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


def read_matrix(path: Path, name: str) -> NDArray:
    """The matrix ``name`` of a MATLAB file."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing: --root must be the folder of the dataset")
    try:
        content = loadmat(str(path), variable_names=[name])
    except Exception as error:  # loadmat raises many types for damaged files
        raise DatasetError(f"{path} is not a readable MATLAB file: {error}") from error
    if name not in content:
        raise DatasetError(f"{path} contains no matrix {name}")
    return np.asarray(content[name])


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: --root must be the folder of the dataset") from None


def _read_lags(path: Path) -> dict[Recording, float]:
    return {Recording.parse(r["seq"]): float(r["best_skeleton_lag"]) for r in _rows(path)}


def _read_flags(path: Path) -> dict[Recording, NDArray[np.bool_]]:
    """(T, 20) per recording: the tracker's joints that agree with the depth image."""
    flags: dict[Recording, list[list[bool]]] = {}
    for row in _rows(path):
        frames = flags.setdefault(Recording.parse(row["seq"]), [])
        if int(row["frame"]) != len(frames):
            raise DatasetError(f"{path}: {row['seq']} lacks frame {len(frames)}")
        frames.append([c == "1" for c in row["per_joint_flags_20"]])
    return {recording: np.array(rows, dtype=bool) for recording, rows in flags.items()}
