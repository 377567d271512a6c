"""Evaluate and fit the confidence: probability that a joint is within 10 cm of the truth.

Measures the calibration error on held-out crops and draws the reliability diagram.  With
``--fit models/new.safetensors`` a calibration is fitted on every second crop and written into a
copy of the weights; the results are then those of the other crops.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from depth_pose_ros.core import weights
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_training.configs.cli import option, parse
from depth_pose_training.configs.groups import CommonOptions
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.shards import MIN_JOINT_DEPTH
from depth_pose_training.data.synthetic.samples import HIDDEN, OUTSIDE
from depth_pose_training.errors import UserError
from depth_pose_training.evaluation.calibration import (
    BINS,
    RIGHT,
    Reliability,
    calibrate,
    fit,
    reliability,
)
from depth_pose_training.evaluation.report import markdown_table, write_json

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]

_BATCH = 8


@dataclass(frozen=True)
class Outcomes:
    """Joints of N crops.

    Attributes:
        confidence: (N, 19) in [0, 1], not calibrated.
        right: (N, 19) bool, joints within 10 cm of the truth.
        known: (N, 19) bool, joints with truth; also those outside the image.
        visible: (N, 19) visibility, as in the shards.
    """

    confidence: Array
    right: Rows
    known: Rows
    visible: NDArray[np.uint8]

    def of(self, rows: slice) -> "Outcomes":
        """Outcomes of some crops."""
        return Outcomes(
            self.confidence[rows], self.right[rows], self.known[rows], self.visible[rows]
        )

    def reliability(self, calibration: Array, which: Rows | None = None) -> Reliability:
        """Reliability with a calibration (19, 2), of all known joints or of ``which`` (N, 19)."""
        chosen = self.known if which is None else self.known & which
        return reliability(calibrate(self.confidence, calibration)[chosen], self.right[chosen])


@torch.no_grad()
def run(network: PoseNetwork, data: CropDataset, indices: NDArray[np.int64]) -> Outcomes:
    """Run the full method on some crops.  Resets the calibration of the network."""
    network.calibration.copy_(torch.tensor((1.0, 0.0)))
    confidence, right, known, visible = [], [], [], []
    for part in tqdm(np.array_split(indices, -(-len(indices) // _BATCH)), unit="batch"):
        batch = data.batch(part)
        pose = network(batch.crops, batch.frames)
        confidence.append(pose.confidence.double().numpy())
        right.append((pose.joints - batch.joints).norm(dim=-1).numpy() <= RIGHT)
        known.append(batch.joints[..., 2].numpy() > MIN_JOINT_DEPTH)
        visible.append(batch.visible.numpy())
    return Outcomes(*(np.concatenate(parts) for parts in (confidence, right, known, visible)))


def summarize(outcomes: Outcomes, calibrations: Mapping[str, Array]) -> dict[str, dict]:
    """Numbers by calibration: all joints, visible, hidden, outside the image, and each joint."""
    groups = {
        "all": np.ones_like(outcomes.known),
        "visible": (outcomes.visible != HIDDEN) & (outcomes.visible != OUTSIDE),
        "hidden": outcomes.visible == HIDDEN,
        "outside": outcomes.visible == OUTSIDE,
    }
    for k, joint in enumerate(JOINTS):
        groups[joint] = np.zeros_like(outcomes.known)
        groups[joint][:, k] = True
    groups = {name: rows for name, rows in groups.items() if (rows & outcomes.known).any()}
    return {
        kind: {
            name: _numbers(outcomes.reliability(calibration, rows)) for name, rows in groups.items()
        }
        for kind, calibration in calibrations.items()
    }


def _numbers(measured: Reliability) -> dict:
    total = measured.count.sum()
    right, confidence = (
        float(np.nansum(values * measured.count) / total)
        for values in (measured.right, measured.confidence)
    )
    return {
        "joints": int(total),
        "right": round(right, 4),
        "confidence": round(confidence, 4),
        "calibration_error": round(measured.error, 4),
        "brier": round(measured.brier, 4),
        "bins": [
            {"confidence": round(float(c), 4), "right": round(float(r), 4), "joints": int(n)}
            for c, r, n in zip(measured.confidence, measured.right, measured.count, strict=True)
            if n
        ],
    }


def table(summary: Mapping[str, dict]) -> str:
    """The numbers as text."""
    columns = ("joints", "right", "confidence", "calibration_error", "brier")
    rows = [
        [f"{group}, {kind}", *(str(numbers[group][c]) for c in columns)]
        for group in next(iter(summary.values()))
        for kind, numbers in summary.items()
    ]
    return markdown_table(["group, calibration", *columns], rows)


def plot(curves: Mapping[str, Reliability], path: Path) -> None:
    """Reliability diagram: share of correct joints and number of joints by confidence."""
    from matplotlib.figure import Figure  # only plots need matplotlib

    figure = Figure(figsize=(5, 6), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot((0, 1), (0, 1), "--", color="0.6")
    edges = np.arange(BINS + 1) / BINS
    for name, curve in curves.items():
        axes.plot(
            curve.confidence, curve.right, "o-", label=f"{name}: error {100 * curve.error:.1f} %"
        )
        counts.stairs(curve.count, edges, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"share within {100 * RIGHT:.0f} cm")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    counts.set(xlabel="confidence", ylabel="joints")
    counts.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


@dataclass(frozen=True)
class ConfidenceOptions(CommonOptions):
    """Options of the step."""

    weights: str | None = option("name or path of the weights (default: the shipped model)", None)
    data: tuple[Path, ...] = option("folders of held-out shards")
    limit: int | None = option("maximum number of crops, evenly spaced", None)
    fit: Path | None = option("file for the calibrated weights", None)
    out: Path = option("folder for reliability.json and a plot", Path("build/reliability"))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(ConfidenceOptions, argv, "evaluate_confidence")
    torch.set_num_threads(options.threads)
    path = weights.resolve(options.weights)
    network, data = weights.load(path), CropDataset(*options.data)
    if not len(data):
        raise UserError(f"no crops in {', '.join(map(str, options.data))}")
    calibrations = {
        "without": np.tile((1.0, 0.0), (len(JOINTS), 1)),
        "as stored": network.calibration.double().numpy(),
    }
    if np.array_equal(calibrations["as stored"], calibrations["without"]):
        del calibrations["as stored"]
    outcomes = run(network, data, data.evenly_spaced(options.limit))
    if options.fit is not None:
        half, outcomes = outcomes.of(slice(0, None, 2)), outcomes.of(slice(1, None, 2))
        fitted = calibrations["fitted"] = fit(half.confidence, half.right, half.known)
        options.fit.parent.mkdir(parents=True, exist_ok=True)
        weights.replace(path, options.fit, calibration=torch.from_numpy(fitted).float())
    summary = summarize(outcomes, calibrations)
    print(f"{len(outcomes.known)} crops\n\n{table(summary)}")
    curves = {name: outcomes.reliability(c) for name, c in calibrations.items()}
    plot(curves, options.out / "reliability.png")
    write_json(options.out / "reliability.json", summary)
    print(f"\nwritten to {options.out}" + (f" and {options.fit}" if options.fit else ""))
