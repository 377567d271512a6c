"""How good a model is on labelled crops: ``python -m depth_pose_training.crop_eval --help``.

The crop is given, so that only the pose network is measured: its stages (the paper's ablation,
Sect. 5.3), all together and by the groups of crops that are hard.  "best of n" is what a read-out
that always chose the proposal nearest to the truth would reach.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from depth_pose_ros.network.model import PoseNetwork, Stage
from depth_pose_ros.skeleton import INDEX, JOINTS
from depth_pose_ros.weights import load, resolve
from depth_pose_training import metrics
from depth_pose_training.batches import CropSet
from depth_pose_training.synthetic.samples import HIDDEN, OUTSIDE

STAGES: tuple[Stage, ...] = get_args(Stage)
BEST = "best of n"
#: Groups by how the pose was made (:attr:`CropSet.modes`).
_MODES = {"seated": ("sitting",), "crouched": ("crouching", "kneeling")}
#: A crop with so many joints hidden inside the image is "occluded".
_MANY_HIDDEN = 5
#: "from behind": the person looks away from the camera, within 60 degrees.
_AWAY = 0.5


@dataclass(frozen=True)
class CropErrors:
    """Errors of N crops, as :mod:`depth_pose_training.metrics` gives them.

    Attributes:
        normalised: (N, 19) pixel distances in torso diameters (Neck to the middle of the hips).
        position: (N, 19) metres.
    """

    normalised: NDArray[np.float64]
    position: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """PDJ at the paper's thresholds and their average, in per cent; mean 3-D error in mm."""
        shares = 100 * metrics.pdj(self.normalised)
        numbers = {f"pdj_{t:.2f}": s for t, s in zip(metrics.PDJ_THRESHOLDS, shares, strict=True)}
        numbers["pdj_average"] = shares.mean()
        numbers["error_mm"] = 1000 * metrics.mean_error(self.position)
        return {k: round(float(v), 2) for k, v in numbers.items()}

    def of(self, rows: NDArray[np.bool_]) -> "CropErrors":
        """Those of some crops."""
        return CropErrors(self.normalised[rows], self.position[rows])


def facing_away(joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, 19, 3) joints in the optical frame -> (N,): the chest looks away from the camera."""
    at = {name: joints[:, i].astype(np.float64) for name, i in INDEX.items()}
    right = at["RightShoulder"] - at["LeftShoulder"] + at["RightHip"] - at["LeftHip"]
    up = at["Neck"] - at["DownSpine"]
    forward, sight = np.cross(up, right), at["MiddleSpine"]
    cosine = (forward * sight).sum(1) / np.maximum(
        np.linalg.norm(forward, axis=1) * np.linalg.norm(sight, axis=1), 1e-9
    )
    away: NDArray[np.bool_] = cosine > _AWAY
    return away


@torch.no_grad()
def evaluate(
    network: PoseNetwork, data: CropSet, indices: NDArray[np.int64], size: int = 8
) -> tuple[dict[str, CropErrors], dict[str, NDArray[np.bool_]]]:
    """All stages on some crops, joints outside the image left out.

    Returns:
        Errors by stage and of the best proposals; rows of each group of crops.
    """
    network.eval()
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in (*STAGES, BEST)}
    pixels, joints, visible, weight = [], [], [], []
    for part in tqdm(np.array_split(indices, -(-len(indices) // size)), unit="batch"):
        batch = data.batch(part)
        for stage in STAGES:
            pose = network(batch.crops, batch.frames, stage)
            found[stage].append((pose.pixels, pose.joints))
        proposals = network.propose(network.fcn(batch.crops), batch.crops, batch.frames)
        off = (proposals.pixels - batch.pixels[:, :, None]).square().sum(-1)
        nearest = off.argmin(-1)[..., None, None]
        found[BEST].append(
            (
                proposals.pixels.gather(2, nearest.expand(-1, -1, 1, 2))[:, :, 0].float(),
                proposals.points.gather(2, nearest.expand(-1, -1, 1, 3))[:, :, 0],
            )
        )
        pixels.append(batch.pixels)
        joints.append(batch.joints)
        visible.append(batch.visible)
        weight.append(batch.weight)
    truth, truth_joints = torch.cat(pixels), torch.cat(joints)
    seen = torch.cat(visible).numpy()
    inside = (torch.cat(weight).numpy() > 0) & (seen != OUTSIDE)
    errors = {}
    for name, parts in found.items():
        estimate, position = (torch.cat([p[i] for p in parts]) for i in range(2))
        errors[name] = CropErrors(
            metrics.normalised_distances(estimate, truth, inside, "Neck"),
            metrics.position_errors(position, truth_joints, inside),
        )
    modes = data.modes()[indices]
    groups = {name: np.isin(modes, kinds) for name, kinds in _MODES.items()}
    groups["occluded"] = ((seen == HIDDEN) & inside).sum(1) >= _MANY_HIDDEN
    groups["from behind"] = facing_away(truth_joints.numpy())
    return errors, groups


def summarise(
    errors: Mapping[str, CropErrors], groups: Mapping[str, NDArray[np.bool_]]
) -> dict[str, dict]:
    """Numbers by stage: all crops, groups, joints."""
    return {
        stage: {
            "all": e.summary(),
            "groups": {
                name: {"crops": int(rows.sum()), **e.of(rows).summary()}
                for name, rows in groups.items()
                if rows.any()
            },
            "joints": {
                name: CropErrors(e.normalised[:, k], e.position[:, k]).summary()
                for k, name in enumerate(JOINTS)
            },
        }
        for stage, e in errors.items()
    }


def table(summary: Mapping[str, dict]) -> str:
    """The numbers as text."""
    columns = [f"pdj_{t:.2f}" for t in metrics.PDJ_THRESHOLDS] + ["pdj_average", "error_mm"]
    lines = [f"{'':<26}" + "".join(f"{c:>12}" for c in columns)]
    first = next(iter(summary.values()))
    for group in ("all", *first["groups"]):
        for stage, numbers in summary.items():
            row = numbers["all"] if group == "all" else numbers["groups"][group]
            label = f"{group}, {stage}"
            lines.append(f"{label:<26}" + "".join(f"{row[c]:>12.2f}" for c in columns))
    lines += ["", f"{'PDJ average':<26}" + "".join(f"{stage:>12}" for stage in summary)]
    for joint in JOINTS:
        cells = [numbers["joints"][joint]["pdj_average"] for numbers in summary.values()]
        lines.append(f"{joint:<26}" + "".join(f"{c:>12.2f}" for c in cells))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="name or path of the weights (default: the shipped ones)")
    parser.add_argument("--data", type=Path, required=True, help="folder of held-out shards")
    parser.add_argument("--limit", type=int, help="at most so many crops, evenly spread")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    data = CropSet(args.data)
    count = min(args.limit or len(data), len(data))
    chosen = np.unique(np.linspace(0, len(data) - 1, count).astype(np.int64))
    summary = summarise(*evaluate(load(resolve(args.weights)), data, chosen))
    print(f"{len(chosen)} crops\n\n{table(summary)}")
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"crops": len(chosen), "results": summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
