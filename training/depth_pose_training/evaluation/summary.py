"""From predictions to numbers: a summary that prints as a table and saves as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depth_pose_ros.core.skeleton import JOINTS
from depth_pose_training.data.datasets.adapter import JointAdapter
from depth_pose_training.evaluation.predictions import Predictions
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
            "pdj_average": _plain(pdj.mean()),
            "mean_error_mm": _plain(1000 * metrics.mean_error(self.position)),
            "map_10cm": _plain(metrics.mean_average_precision(self.position, MAP_DISTANCE)),
            "joints": {
                name: {
                    "pdj": _by_threshold(per_joint[:, k]),
                    "pdj_average": _plain(per_joint[:, k].mean()),
                    "mean_error_mm": _plain(1000 * error),
                    "ap_10cm": _plain(precision[k]),
                }
                for k, (name, error) in enumerate(
                    zip(JOINTS, metrics.mean_error_per_joint(self.position), strict=True)
                )
            },
            "pdj_curve": {
                "thresholds": list(metrics.CURVE_THRESHOLDS),
                "pdj": [_plain(v) for v in curve],
            },
        }


def summarize(p: Predictions, torso_top: str, adapter: JointAdapter | None = None) -> dict:
    """All numbers of one estimator; "adapted" only where there is an adapter."""
    there = p.labelled
    summary = {
        "frames": len(p),
        "found": _plain(p.found[there].mean()) if there.any() else None,
        "not_found": [k for k, missed in zip(p.keys, there & ~p.found, strict=True) if missed],
        "more_than_one_person": int((p.people > 1).sum()),
        "people": {
            "asked": int(p.asked.sum()),
            "found": int(p.matched.sum()),
            "recall": _plain(p.matched.sum() / p.asked.sum()) if p.asked.any() else None,
            "false": int(p.false.sum()),
            "false_per_frame": _plain(p.false.mean()),
        },
        "latency_ms": {
            "mean": _plain(1000 * p.seconds.mean()),
            "p50": _plain(1000 * np.percentile(p.seconds, 50)),
            "p95": _plain(1000 * np.percentile(p.seconds, 95)),
        },
        "raw": Errors.of(p, torso_top).summary(),
    }
    if adapter is not None:
        summary["adapted"] = Errors.of(p, torso_top, adapter).summary()
    return summary


def table(summaries: Mapping[str, dict]) -> str:
    """The main numbers as text, a row per estimator and kind of joints."""
    heads = [f"PDJ@{t:.2f}" for t in metrics.PDJ_THRESHOLDS]
    heads += ["average", "error mm", "mAP@10cm", "found", "frames"]
    lines = [f"{'':<24}" + "".join(f"{h:>10}" for h in heads)]
    for name, summary in summaries.items():
        for kind in ("raw", "adapted"):
            if kind in summary:
                values = summary[kind]
                shares = [*values["pdj"].values(), values["pdj_average"]]
                cells = [_percent(v) for v in shares]
                cells += [_number(values["mean_error_mm"]), _percent(values["map_10cm"])]
                cells += [_percent(summary["found"]), str(summary["frames"])]
                lines.append(f"{name + ' (' + kind + ')':<24}" + "".join(f"{c:>10}" for c in cells))
    return "\n".join(lines)


def people_table(summaries: Mapping[str, dict]) -> str:
    """People found, and how long it takes, as text: a row per estimator."""
    heads = ("people", "found", "false/frame", "mean ms", "p50 ms", "p95 ms")
    lines = [f"{'':<24}" + "".join(f"{h:>12}" for h in heads)]
    for name, summary in summaries.items():
        people, latency = summary["people"], summary["latency_ms"]
        cells = [str(people["asked"]), _percent(people["recall"])]
        cells += [f"{people['false_per_frame']:.3f}", *(_number(v) for v in latency.values())]
        lines.append(f"{name:<24}" + "".join(f"{c:>12}" for c in cells))
    return "\n".join(lines)


def joint_table(summary: Mapping) -> str:
    """Average PDJ and mean 3-D error of every joint of one estimator as text."""
    kinds = [kind for kind in ("raw", "adapted") if kind in summary]
    lines = [f"{'':<16}" + "".join(f"{f'PDJ ({k})':>16}{f'mm ({k})':>16}" for k in kinds)]
    for joint in JOINTS:
        row = [summary[kind]["joints"][joint] for kind in kinds]
        lines.append(
            f"{joint:<16}"
            + "".join(
                f"{_percent(r['pdj_average']):>16}{_number(r['mean_error_mm']):>16}" for r in row
            )
        )
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _plain(value: float) -> float | None:
    """A built-in number for JSON, rounded to what means something; None for NaN."""
    return round(float(value), 6) if np.isfinite(value) else None


def _by_threshold(values: Array) -> dict[str, float | None]:
    return {f"{t:.2f}": _plain(v) for t, v in zip(metrics.PDJ_THRESHOLDS, values, strict=True)}
