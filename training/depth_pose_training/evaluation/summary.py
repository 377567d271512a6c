"""From predictions to numbers: a summary that prints as a table and saves as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_training.data.datasets.adapter import JointAdapter
from depth_pose_training.evaluation.predictions import Predictions
from depth_pose_training.evaluation.report import markdown_table, number, percent, plain, ratio
from depth_pose_training.learning import metrics

Array = NDArray[np.float64]
MAP_DISTANCE = 0.10  #: metres


@dataclass(frozen=True)
class Errors:
    """Errors of every joint of every frame, see :mod:`depth_pose_training.learning.metrics`.

    Attributes:
        normalized: (N, 19) pixel distances in torso diameters.
        position: (N, 19) 3-D distances in metres.
    """

    normalized: Array
    position: Array

    @classmethod
    def of(cls, p: Predictions, torso_top: str, adapter: JointAdapter | None = None) -> "Errors":
        """Errors of the estimates as they are, or moved to the dataset's joints."""
        joints, pixels = p.joints, p.pixels
        if adapter is not None:
            joints = adapter.apply(joints)
            pixels = np.stack([c.project(j) for c, j in zip(p.cameras, joints, strict=True)])
        return cls(
            metrics.normalized_distances(pixels, p.true_pixels, p.valid, torso_top),
            metrics.position_errors(joints, p.true_joints, p.valid),
        )

    def summary(self) -> dict:
        """Numbers by name, plain types only; None where nothing was measured."""
        pdj = metrics.pdj(self.normalized)
        per_joint = metrics.detected_per_joint(self.normalized, metrics.PDJ_THRESHOLDS)
        curve = metrics.pdj(self.normalized, metrics.CURVE_THRESHOLDS)
        precision = metrics.detected_per_joint(self.position, [MAP_DISTANCE])[0]
        return {
            "pdj": _by_threshold(pdj),
            "pdj_average": plain(pdj.mean()),
            "mean_error_mm": plain(1000 * metrics.mean_error(self.position)),
            "map_10cm": plain(metrics.mean_average_precision(self.position, MAP_DISTANCE)),
            "joints": {
                name: {
                    "pdj": _by_threshold(per_joint[:, k]),
                    "pdj_average": plain(per_joint[:, k].mean()),
                    "mean_error_mm": plain(1000 * error),
                    "ap_10cm": plain(precision[k]),
                }
                for k, (name, error) in enumerate(
                    zip(JOINTS, metrics.mean_error_per_joint(self.position), strict=True)
                )
            },
            "pdj_curve": {
                "thresholds": list(metrics.CURVE_THRESHOLDS),
                "pdj": [plain(v) for v in curve],
            },
        }


def summarize(p: Predictions, torso_top: str, adapter: JointAdapter | None = None) -> dict:
    """All numbers of one estimator; "adapted" only where there is an adapter."""
    labelled = p.labelled
    summary = {
        "frames": len(p),
        "found": plain(p.found[labelled].mean()) if labelled.any() else None,
        "not_found": [k for k, missed in zip(p.keys, labelled & ~p.found, strict=True) if missed],
        "more_than_one_person": int((p.people > 1).sum()),
        "people": {
            "counted": int(p.counted.sum()),
            "found": int(p.matched.sum()),
            "recall": ratio(p.matched.sum(), p.counted.sum(), 6),
            "false": int(p.false.sum()),
            "false_per_frame": plain(p.false.mean()),
        },
        "latency_ms": {
            "mean": plain(1000 * p.seconds.mean()),
            "p50": plain(1000 * np.percentile(p.seconds, 50)),
            "p95": plain(1000 * np.percentile(p.seconds, 95)),
        },
        "raw": Errors.of(p, torso_top).summary(),
    }
    if adapter is not None:
        summary["adapted"] = Errors.of(p, torso_top, adapter).summary()
    return summary


def table(summaries: Mapping[str, dict]) -> str:
    """The main numbers as text, a row per estimator and kind of joints."""
    columns = ["estimator", *(f"PDJ@{t:.2f}" for t in metrics.PDJ_THRESHOLDS), "average"]
    columns += ["error mm", "mAP@10cm", "found", "frames"]
    rows = []
    for name, summary in summaries.items():
        for kind in ("raw", "adapted"):
            if kind in summary:
                values = summary[kind]
                shares = [*values["pdj"].values(), values["pdj_average"]]
                cells = [f"{name} ({kind})", *map(percent, shares), number(values["mean_error_mm"])]
                cells += [percent(values["map_10cm"]), percent(summary["found"])]
                rows.append([*cells, str(summary["frames"])])
    return markdown_table(columns, rows)


def people_table(summaries: Mapping[str, dict]) -> str:
    """Recall, false positives and latency as text: a row per estimator."""
    rows = []
    for name, summary in summaries.items():
        people, latency = summary["people"], summary["latency_ms"]
        cells = [str(people["counted"]), percent(people["recall"])]
        cells.append(number(people["false_per_frame"], 3))
        rows.append([name, *cells, *map(number, latency.values())])
    columns = ("estimator", "people", "recall", "false/frame", "mean ms", "p50 ms", "p95 ms")
    return markdown_table(columns, rows)


def joint_table(summary: Mapping) -> str:
    """Average PDJ and mean 3-D error of every joint of one estimator as text."""
    kinds = [kind for kind in ("raw", "adapted") if kind in summary]
    rows = []
    for joint in JOINTS:
        values = [summary[kind]["joints"][joint] for kind in kinds]
        cells = [(percent(v["pdj_average"]), number(v["mean_error_mm"])) for v in values]
        rows.append([joint, *chain.from_iterable(cells)])
    columns = chain.from_iterable((f"PDJ ({k})", f"mm ({k})") for k in kinds)
    return markdown_table(["joint", *columns], rows)


def _by_threshold(values: Array) -> dict[str, float | None]:
    return {f"{t:.2f}": plain(v) for t, v in zip(metrics.PDJ_THRESHOLDS, values, strict=True)}
