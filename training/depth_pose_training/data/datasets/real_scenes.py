"""Scenes of real depth images, with or without people.

Scenes are folders with a ``meta.json`` (fx, fy, cx, cy) and 16-bit PNG depth images in millimetres.
A folder with ``hand_labels_2d.json`` shows people: only the frames listed there are read.  A folder
without shows no people.  The folder of SMPLify-Kids has one ``.npz`` file instead.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import INDEX, NUM_JOINTS
from depth_pose_training.data.datasets.base import DatasetError, LabelledFrame, LabelledPerson

LABELS = "hand_labels_2d.json"
_PARTS = {"head": "Head", "neck": "Neck"} | {
    side + short: name + long
    for side, name in (("R", "Right"), ("L", "Left"))
    for short, long in (
        ("sh", "Shoulder"), ("el", "Elbow"), ("wr", "Wrist"), ("ha", "Hand"),
        ("hip", "Hip"), ("kn", "Knee"), ("ank", "Foot"),
    )
}  # fmt: skip
#: OpenPose BODY_25 keypoints; its nose has no counterpart among the 19 joints.
_BODY_25 = {
    2: "RightShoulder", 3: "RightElbow", 4: "RightWrist", 5: "LeftShoulder", 6: "LeftElbow",
    7: "LeftWrist", 9: "RightHip", 10: "RightKnee", 11: "RightFoot", 12: "LeftHip",
    13: "LeftKnee", 14: "LeftFoot",
}  # fmt: skip


def read_scenes(root: Path, split: str = "") -> Iterator[LabelledFrame]:
    """All frames below ``root/split``, keyed ``scene/frame``; people have 2-D labels only.

    Raises:
        DatasetError: there are no scenes, or one is malformed.
    """
    top = root / split
    folders = sorted({p.parent for name in ("meta.json", "*.npz") for p in top.rglob(name)})
    if not folders:
        raise DatasetError(f"no scenes (folders with meta.json) in {top}")
    for folder in folders:
        scene = folder.relative_to(top).as_posix() if folder != top else top.name
        try:
            yield from _read_scene(folder, scene)
        except (KeyError, ValueError, OSError) as error:
            raise DatasetError(f"{folder}: {error!r}") from error


def _read_scene(folder: Path, scene: str) -> Iterator[LabelledFrame]:
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            for i, (depth, body) in enumerate(
                zip(data["depth_mm"], data["openpose_body25_uvc"], strict=True)
            ):
                points = {name: body[k, :2] for k, name in _BODY_25.items() if body[k, 2] > 0}
                yield _frame(depth, data["K"].tolist(), [points], f"{scene}/{i:03d}")
    if not (folder / "meta.json").exists():
        return
    meta = json.loads((folder / "meta.json").read_text())
    intrinsics = [float(meta[k]) for k in ("fx", "fy", "cx", "cy")]
    labels = None
    if (folder / LABELS).exists():
        labels = json.loads((folder / LABELS).read_text())["frames"]
    for path in sorted(folder.glob("*.png")):
        if labels is None or path.stem in labels:
            depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if depth is None or depth.ndim != 2 or depth.dtype != np.uint16:
                raise ValueError(f"{path.name} is not a 16-bit depth image")
            people = [
                {_PARTS[k]: uv for k, uv in person.items()}
                for person in (labels or {}).get(path.stem, [])
            ]
            yield _frame(depth, intrinsics, people, f"{scene}/{path.stem}")


def _frame(
    millimetres: NDArray[Any],
    intrinsics: Sequence[float],
    people: Sequence[Mapping[str, Sequence[float]]],
    key: str,
) -> LabelledFrame:
    depth: NDArray[np.float32] = np.asarray(millimetres, np.float32) / np.float32(1000)
    height, width = depth.shape
    fx, fy, cx, cy = intrinsics
    labelled = []
    for person in people:
        pixels = np.full((NUM_JOINTS, 2), np.nan)
        for name, uv in person.items():
            pixels[INDEX[name]] = uv
        valid = np.isfinite(pixels).all(1)
        labelled.append(LabelledPerson(np.full((NUM_JOINTS, 3), np.nan), pixels, valid))
    camera = Camera(fx, fy, cx, cy, width, height)
    return LabelledFrame(depth, camera, tuple(labelled), key)
