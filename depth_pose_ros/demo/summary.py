"""What the demo tells at its end."""

from collections.abc import Sequence
from pathlib import Path

from depth_pose_ros.demo.recorder import JOINTS_TOPIC, TOPICS
from depth_pose_ros.demo.statistics import Statistics


def summarize(
    statistics: Statistics, inputs: Sequence[str], files: Sequence[Path], bag: Path, log: Path
) -> str:
    """Traffic by topic, latency, people, and where the results are.

    Args:
        statistics: of the whole run.
        inputs: the topics that go into the node; the others come out of it.
        files: the pictures.
        bag: the recording's folder.
        log: the node's own words.
    """
    lines = ["", f"  {'topic':<34}{'type':<36}{'messages':>8}{'rate':>10}"]
    for topic, (_, kind) in TOPICS.items():
        count, rate = statistics.traffic(topic)
        way = "in" if topic in inputs else "out"
        lines.append(f"  {topic:<34}{kind:<36}{count:>8}{rate:>7.1f} Hz  {way}")
    p50, p95 = (value * 1000 for value in statistics.latency())
    people = statistics.people()
    frames = sum(people.values())
    mean = sum(number * times for number, times in people.items()) / max(frames, 1)
    counts = ", ".join(f"{number} in {times}" for number, times in people.items())
    lines += [
        "",
        f"  latency   {p50:.0f} ms median, {p95:.0f} ms at the 95th percentile "
        f"(depth image published to {JOINTS_TOPIC.rsplit('/', 1)[1]} received)",
        f"  people    {mean:.2f} a frame ({counts} frames)",
        "",
        f"  pictures  {_listed(files)}",
        f"  messages  {bag}: open the .mcap in Foxglove, or `ros2 bag play {bag}` beside RViz",
        f"  node log  {log}",
    ]
    return "\n".join(lines)


def _listed(files: Sequence[Path]) -> str:
    """`a/frame_0001.png ... frame_0006.png, a/skeletons.gif`."""
    stills = [file for file in files if file.suffix == ".png"]
    others = [str(file) for file in files if file.suffix != ".png"]
    shown = [str(stills[0])] if stills else []
    if len(stills) > 1:
        shown[0] += f" ... {stills[-1].name}"
    return ", ".join(shown + others) or "none: no frame came through"
