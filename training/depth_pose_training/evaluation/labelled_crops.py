"""Evaluate a model on labelled crops: PDJ, 3-D error and mAP of every stage.

The crops are given, so that only the pose network is measured: its stages (the paper's ablation,
Sect. 5.3) on all crops and on groups of difficult crops.  "best of n" takes the proposal nearest
to the truth: the upper bound of every selection among the proposals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from depth_pose_ros.core.models.flip import FlipAveragedFcn
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage
from depth_pose_ros.core.skeleton import INDEX, JOINTS
from depth_pose_ros.core.weights import load, resolve
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.configs.groups import CommonOptions
from depth_pose_training.data.batches import BackgroundCrops, CropDataset
from depth_pose_training.data.datasets.synthetic import crop_frame
from depth_pose_training.data.shards import HIDDEN, OUTSIDE, VISIBLE
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.pictures import side_by_side, worst
from depth_pose_training.evaluation.plots import plot_curves, plot_per_joint
from depth_pose_training.evaluation.report import markdown_table, write_json
from depth_pose_training.evaluation.summary import Errors
from depth_pose_training.learning import metrics

STAGES: tuple[Stage, ...] = get_args(Stage)
BEST = "best of n"
#: Groups by the kind of pose (:attr:`CropDataset.modes`).
_MODES = {"seated": ("sitting",), "crouched": ("crouching", "kneeling")}
_AXES = ("right", "down", "away")  # of the optical frame
#: "occluded": minimum number of hidden joints in the image.
_MANY_HIDDEN = 5
#: "in full view": maximum number of hidden joints, with none outside the image.
_FEW_HIDDEN = 3
#: "from behind": minimum cosine between the viewing ray and the direction the chest faces.
_FACING_AWAY = 0.5


@dataclass(frozen=True)
class CropErrors:
    """Errors of N crops, as :mod:`depth_pose_training.learning.metrics` gives them.

    Attributes:
        normalized: (N, 19) pixel distances in torso diameters (Neck to the middle of the hips).
        position: (N, 19) metres.
        offset: (N, 19, 3) metres, the estimates minus the truth in the optical frame; NaN where
            there is no truth.
        pixels: (N, 19, 2) the estimates, in the crop.
    """

    normalized: NDArray[np.float64]
    position: NDArray[np.float64]
    offset: NDArray[np.float64]
    pixels: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """PDJ at the paper's thresholds and their average in percent, mean 3-D error in mm, mAP at
        10 cm in percent, and the median offset to the right, down and away from the camera in mm.
        """
        shares = 100 * metrics.pdj(self.normalized)
        numbers = {f"pdj_{t:.2f}": s for t, s in zip(metrics.PDJ_THRESHOLDS, shares, strict=True)}
        numbers["pdj_average"] = shares.mean()
        numbers["error_mm"] = 1000 * metrics.mean_error(self.position)
        numbers["map_10cm"] = 100 * metrics.mean_average_precision(self.position)
        known = self.offset[np.isfinite(self.offset).all(-1)]
        middle = np.median(known, axis=0) if len(known) else np.full(len(_AXES), np.nan)
        numbers |= {f"{a}_mm": 1000 * m for a, m in zip(_AXES, middle, strict=True)}
        return {k: round(float(v), 2) for k, v in numbers.items()}

    def of(self, chosen: NDArray[np.bool_]) -> "CropErrors":
        """Errors of the selected joints (N, 19); NaN elsewhere."""
        normalized, position = (np.where(chosen, a, np.nan) for a in self.distances())
        offset = np.where(chosen[..., None], self.offset, np.nan)
        return CropErrors(normalized, position, offset, self.pixels)

    def distances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixel and 3-D errors."""
        return self.normalized, self.position

    def joint(self, k: int) -> "CropErrors":
        """Errors of one joint."""
        chosen = np.zeros_like(self.position, dtype=bool)
        chosen[:, k] = True
        return self.of(chosen)


def facing_away(joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, 19, 3) joints in the optical frame -> (N,) bool: the chest faces away from the camera."""
    at = {name: joints[:, i].astype(np.float64) for name, i in INDEX.items()}
    right = at["RightShoulder"] - at["LeftShoulder"] + at["RightHip"] - at["LeftHip"]
    up = at["Neck"] - at["DownSpine"]
    forward, sight = np.cross(up, right), at["MiddleSpine"]
    cosine = (forward * sight).sum(1) / np.maximum(
        np.linalg.norm(forward, axis=1) * np.linalg.norm(sight, axis=1), 1e-9
    )
    away: NDArray[np.bool_] = cosine > _FACING_AWAY
    return away


@torch.no_grad()
def evaluate(
    network: PoseNetwork, data: CropDataset, indices: NDArray[np.int64], size: int = 8
) -> tuple[dict[str, CropErrors], dict[str, NDArray[np.bool_]]]:
    """Errors of all stages; joints outside the image are left out.

    Raises:
        UserError: there are no crops.

    Returns:
        Errors by stage and of the best proposals; (N, 19) bool, the joints of each group.
    """
    if not len(indices):
        raise UserError("there are no crops to evaluate on")
    network.eval()
    estimates: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in (*STAGES, BEST)}
    pixels, joints, visible, weight = [], [], [], []
    for part in tqdm(np.array_split(indices, -(-len(indices) // size)), unit="batch"):
        batch = data.batch(part)
        for stage in STAGES:
            pose = network(batch.crops, batch.frames, stage)
            estimates[stage].append((pose.pixels, pose.joints))
        proposals = network.propose(network.fcn(batch.crops), batch.crops, batch.frames)
        distance = (proposals.pixels - batch.pixels[:, :, None]).square().sum(-1)
        nearest = distance.argmin(-1)[..., None, None]
        estimates[BEST].append(
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
    visibility = torch.cat(visible).numpy()
    inside = (torch.cat(weight).numpy() > 0) & (visibility != OUTSIDE)
    errors = {}
    for name, parts in estimates.items():
        estimate, position = (torch.cat([p[i] for p in parts]) for i in range(2))
        errors[name] = CropErrors(
            metrics.normalized_distances(estimate, truth, inside, "Neck"),
            metrics.position_errors(position, truth_joints, inside),
            np.where(inside[..., None], (position - truth_joints).double().numpy(), np.nan),
            estimate.double().numpy(),
        )
    shown, hidden = ((visibility == state) & inside for state in (VISIBLE, HIDDEN))
    modes = data.modes()[indices]
    rows = {name: np.isin(modes, kinds) for name, kinds in _MODES.items()}
    rows["in full view"] = (hidden.sum(1) <= _FEW_HIDDEN) & (visibility != OUTSIDE).all(1)
    rows["occluded"] = hidden.sum(1) >= _MANY_HIDDEN
    rows["from behind"] = facing_away(truth_joints.numpy())
    groups = {name: chosen[:, None].repeat(len(JOINTS), axis=1) for name, chosen in rows.items()}
    groups |= {"joints in sight": shown, "joints hidden": hidden}
    for name in (*_MODES, "occluded", "from behind"):
        groups[f"{name}, in sight"] = groups[name] & shown
    return errors, groups


def summarize(
    errors: Mapping[str, CropErrors], groups: Mapping[str, NDArray[np.bool_]]
) -> dict[str, dict]:
    """Numbers by stage: all crops, groups, joints."""
    return {
        stage: {
            "all": e.summary(),
            "groups": {
                name: {
                    "crops": int(chosen.any(1).sum()),
                    **e.of(chosen).summary(),
                }
                for name, chosen in groups.items()
                if chosen.any()
            },
            "joints": {name: e.joint(k).summary() for k, name in enumerate(JOINTS)},
        }
        for stage, e in errors.items()
    }


def table(summary: Mapping[str, dict]) -> str:
    """The numbers as text: by group and stage, and the average PDJ by joint and stage."""
    columns = [f"pdj_{t:.2f}" for t in metrics.PDJ_THRESHOLDS]
    columns += ["pdj_average", "error_mm", "map_10cm", *(f"{axis}_mm" for axis in _AXES)]
    rows, stages = [], list(summary)
    for group in ("all", *summary[stages[0]]["groups"]):
        for stage, numbers in summary.items():
            row = numbers["all"] if group == "all" else numbers["groups"][group]
            rows.append([f"{group}, {stage}", *(f"{row[c]:.2f}" for c in columns)])
    joints = [
        [joint, *(f"{n['joints'][joint]['pdj_average']:.2f}" for n in summary.values())]
        for joint in JOINTS
    ]
    tables = (
        markdown_table(["crops", *columns], rows),
        markdown_table(["PDJ average", *stages], joints),
    )
    return "\n\n".join(tables)


def write(
    errors: Mapping[str, CropErrors],
    groups: Mapping[str, NDArray[np.bool_]],
    data: CropDataset,
    indices: NDArray[np.int64],
    out: Path,
    pictures: int,
) -> None:
    """Write summary.json, the paper's plots (Fig. 7, 10 and 11; of all crops and of each group),
    and pictures of the last stage's worst crops into a folder, which is created."""
    write_json(out / "summary.json", summarize(errors, groups), crops=len(indices))
    all_joints = np.ones((len(indices), len(JOINTS)), bool)
    for name, chosen in {"all": all_joints, **groups}.items():
        if chosen.any():
            detailed = {s: {"raw": Errors(*e.of(chosen).distances()).summary()}
                        for s, e in errors.items()}  # fmt: skip
            stem = name.replace(" ", "_")
            plot_curves(detailed, out / f"pdj_curves_{stem}.png")
            plot_per_joint(detailed, out / f"pdj_per_joint_{stem}.png")
    last = errors[STAGES[-1]]
    modes = data.modes()
    for rank, row in enumerate(worst(last.position, pictures)):
        crop = data.crop(int(indices[row]))
        frame = crop_frame(*crop, f"crop {indices[row]}, {modes[indices[row]]}")
        error = 1000 * float(np.nanmean(last.position[row]))
        picture = side_by_side(frame, last.pixels[row],
                               f"{frame.key}, {error:.0f} mm")  # fmt: skip
        path = out / f"worst_{rank:02d}.png"
        if not cv2.imwrite(str(path), picture):
            raise OSError(f"could not write {path}")


@dataclass(frozen=True)
class CropOptions(CommonOptions):
    """Options of the step."""

    weights: str | None = option("name or path of the weights (default: the shipped model)", None)
    data: Path = option("folder of held-out shards")
    behind: Path | None = option(
        "folder of shards: missing depth is filled with these, farther away, so that people "
        "without background stand in rooms",
        None,
    )
    limit: int | None = option("maximum number of crops, evenly spaced", None)
    flip_test: bool = option(
        "average the FCN's output with that of the flipped crop (test-time augmentation)", False
    )
    out: Path | None = option("folder for summary.json, plots and pictures", None)
    pictures: int = option("number of pictures of the worst crops", 20)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(CropOptions, argv, "evaluate_crops")
    torch.set_num_threads(options.threads)
    path, behind = options.data, options.behind
    data = CropDataset(path) if behind is None else BackgroundCrops(path, behind)
    indices = data.evenly_spaced(options.limit)
    network = load(resolve(options.weights))
    if options.flip_test:
        network.fcn = FlipAveragedFcn(network.fcn)  # type: ignore[assignment]
    errors, groups = evaluate(network, data, indices)
    print(f"{len(indices)} crops\n\n{table(summarize(errors, groups))}")
    if options.out is not None:
        write(errors, groups, data, indices, options.out, options.pictures)
