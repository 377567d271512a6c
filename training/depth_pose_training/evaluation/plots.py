"""The paper's figures: PDJ over the threshold (Fig. 7 and 10) and per body part (Fig. 11)."""

from collections.abc import Mapping
from pathlib import Path

from depth_pose_ros.core.skeleton import JOINTS


def plot_curves(summaries: Mapping[str, dict], path: Path) -> None:
    """PDJ curves, a color per estimator; dashed for raw estimates, solid for adapted ones."""
    from matplotlib.figure import Figure  # only plots need matplotlib

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for i, (name, summary) in enumerate(summaries.items()):
        for kind, style in _styles(summary).items():
            curve = summary[kind]["pdj_curve"]
            label = name if len(_styles(summary)) == 1 else f"{name} ({kind})"
            axes.plot(curve["thresholds"], curve["pdj"], style, color=f"C{i}", label=label)
    axes.set(xlim=(0, 0.2), ylim=(0, 1))
    axes.set_xlabel("Normalized precision threshold")
    axes.set_ylabel("Percentage of detected joints (PDJ)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def plot_per_joint(summaries: Mapping[str, dict], path: Path) -> None:
    """Average PDJ of every joint as bars, one per estimator; of adapted estimates if available."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(summaries)
    for i, (name, summary) in enumerate(summaries.items()):
        joints = summary["adapted" if "adapted" in summary else "raw"]["joints"]
        heights = [joints[joint]["pdj_average"] for joint in JOINTS]
        bars = [(k, h) for k, h in enumerate(heights) if h is not None]
        positions = [k + (i - (len(summaries) - 1) / 2) * width for k, _ in bars]
        axes.bar(positions, [h for _, h in bars], width, color=f"C{i}", label=name)
    axes.set_xticks(range(len(JOINTS)), JOINTS, rotation=45, ha="right")
    axes.set(ylim=(0, 1), ylabel="Average PDJ")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(summaries))  # beside the bars, not on them
    figure.savefig(path, dpi=120)


def _styles(summary: dict) -> dict[str, str]:
    return {"raw": "--", "adapted": "-"} if "adapted" in summary else {"raw": "-"}
