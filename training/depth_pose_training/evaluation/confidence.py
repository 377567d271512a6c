"""Is a joint's confidence the probability that it is within 10 cm?

``python -m depth_pose_training evaluate_confidence --data data/val`` measures it on held-out
crops and draws the reliability plot.  With ``--fit models/new.safetensors`` every second crop is
used to fit a calibration, which goes into a copy of the weights, and the other crops show what it
is worth.
"""

import argparse
import json
import sys
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
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.shards import MIN_JOINT_DEPTH
from depth_pose_training.data.synthetic.samples import HIDDEN, OUTSIDE
from depth_pose_training.evaluation.calibration import (
    BINS,
    RIGHT,
    Reliability,
    calibrate,
    fit,
    reliability,
)

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]

_BATCH = 8


@dataclass(frozen=True)
class Outcomes:
    """Joints of N crops.

    Attributes:
        confidence: (N, 19) in [0, 1], as the network has it without calibration.
        right: (N, 19) whether within 10 cm of the truth.
        known: (N, 19) whether there is truth; also of joints outside the image.
        visible: (N, 19) as in the shards.
    """

    confidence: Array
    right: Rows
    known: Rows
    visible: NDArray[np.uint8]

    def of(self, rows: slice) -> "Outcomes":
        """Those of some crops."""
        return Outcomes(
            self.confidence[rows], self.right[rows], self.known[rows], self.visible[rows]
        )

    def reliability(self, calibration: Array, which: Rows | None = None) -> Reliability:
        """With a calibration (19, 2), of all known joints or of some, (N, 19)."""
        chosen = self.known if which is None else self.known & which
        return reliability(calibrate(self.confidence, calibration)[chosen], self.right[chosen])


@torch.no_grad()
def outcomes(network: PoseNetwork, data: CropDataset, indices: NDArray[np.int64]) -> Outcomes:
    """Run the whole method on some crops.  Leaves the network without calibration."""
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


def summarize(found: Outcomes, calibrations: Mapping[str, Array]) -> dict[str, dict]:
    """Numbers by calibration: all joints, those seen, hidden and outside the image, each joint."""
    groups = {
        "all": np.ones_like(found.known),
        "seen": (found.visible != HIDDEN) & (found.visible != OUTSIDE),
        "hidden": found.visible == HIDDEN,
        "outside": found.visible == OUTSIDE,
    }
    for k, joint in enumerate(JOINTS):
        groups[joint] = np.zeros_like(found.known)
        groups[joint][:, k] = True
    groups = {name: rows for name, rows in groups.items() if (rows & found.known).any()}
    return {
        kind: {
            name: _numbers(found.reliability(calibration, rows)) for name, rows in groups.items()
        }
        for kind, calibration in calibrations.items()
    }


def _numbers(measured: Reliability) -> dict:
    total = measured.count.sum()
    share, sure = (
        float(np.nansum(values * measured.count) / total)
        for values in (measured.right, measured.confidence)
    )
    return {
        "joints": int(total),
        "right": round(share, 4),
        "confidence": round(sure, 4),
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
    lines = [f"{'':<30}" + "".join(f"{c:>19}" for c in columns)]
    for group in next(iter(summary.values())):
        for kind, numbers in summary.items():
            row = numbers[group]
            lines.append(f"{f'{group}, {kind}':<30}" + "".join(f"{row[c]:>19}" for c in columns))
    return "\n".join(lines)


def plot(curves: Mapping[str, Reliability], path: Path) -> None:
    """Reliability diagram: share that was right over confidence, and how many joints had it."""
    from matplotlib.figure import Figure  # only plots need matplotlib

    figure = Figure(figsize=(5, 6), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot((0, 1), (0, 1), "--", color="0.6")
    edges = np.arange(BINS + 1) / BINS
    for name, curve in curves.items():
        axes.plot(
            curve.confidence, curve.right, "o-", label=f"{name}: off by {100 * curve.error:.1f} %"
        )
        counts.stairs(curve.count, edges, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"share within {100 * RIGHT:.0f} cm")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    counts.set(xlabel="confidence", ylabel="joints")
    counts.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", help="name or path of the weights (default: the shipped ones)")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of held-out shards"
    )
    parser.add_argument("--limit", type=int, help="at most so many crops, evenly spread")
    parser.add_argument("--fit", type=Path, help="write calibrated weights here")
    parser.add_argument("--out", type=Path, default=Path("build/reliability"))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        path = weights.resolve(args.weights)
        network, data = weights.load(path), CropDataset(*args.data)
        calibrations = {"without": _plain(), "as stored": network.calibration.double().numpy()}
        if np.array_equal(calibrations["as stored"], calibrations["without"]):
            del calibrations["as stored"]
        if not len(data):
            raise ValueError(f"no crops in {', '.join(map(str, args.data))}")
        found = outcomes(network, data, data.evenly_spaced(args.limit))
        if args.fit is not None:
            half = found.of(slice(0, None, 2))
            found = found.of(slice(1, None, 2))
            calibrations["fitted"] = fit(half.confidence, half.right, half.known)
            args.fit.parent.mkdir(parents=True, exist_ok=True)
            weights.replace(
                path, args.fit, calibration=torch.from_numpy(calibrations["fitted"]).float()
            )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    summary = summarize(found, calibrations)
    print(f"{len(found.known)} crops\n\n{table(summary)}")
    plot({k: found.reliability(c) for k, c in calibrations.items()}, args.out / "reliability.png")
    (args.out / "reliability.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"\nwritten to {args.out}" + (f" and {args.fit}" if args.fit else ""))
    return 0


def _plain() -> Array:
    return np.tile((1.0, 0.0), (len(JOINTS), 1))
