"""The demo's command line: `make demo`, `python -m depth_pose_ros.demo`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from depth_pose_ros.demo.playback import CAMERA_INFO_TOPIC, DEPTH_TOPIC, add_source_arguments
from depth_pose_ros.demo.recorder import JOINTS_TOPIC, TOPICS
from depth_pose_ros.demo.recording import Statistics
from depth_pose_ros.demo.session import BAG, NODE, DemoError, SessionConfig, isolate, record
from depth_pose_ros.demo.sources import open_source
from depth_pose_ros.demo.sources.base import SourceError
from depth_pose_ros.demo.viewers.pictures import write_pictures
from depth_pose_ros.demo.viewers.rerun import RerunNotInstalled, import_rerun, write_recording


def run(args: Sequence[str] | None = None, node: Sequence[str] = NODE) -> int:
    """Run the demo; returns the exit code.

    Args:
        args: command line without the program's name; None for ``sys.argv``.
        node: arguments of the interpreter that start the node.
    """
    parsed = _parser().parse_args(args)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    output: Path = parsed.output
    try:
        if parsed.view == "rerun":
            import_rerun()  # an error before the run, not after
        source = open_source(parsed.source, parsed.camera, parsed.topic)
        output.mkdir(parents=True, exist_ok=True)
        for old in output.glob("frame_*.png"):
            old.unlink()
        camera = source.camera
        _log(
            f"depth source: {source.name}, {camera.width} x {camera.height}, "
            f"{source.fps:.0f} Hz, {len(source)} frames"
        )
        _log(f"ROS_DOMAIN_ID={isolate()}, this machine only")
        recorder = record(
            SessionConfig(source, _player_arguments(parsed), output, parsed.duration, node, _log)
        )
        _log("drawing ...")
        files = write_pictures(output, recorder.sampler.frames, camera)
        if parsed.view == "rerun":
            recording = write_recording(output, recorder.sampler.frames, camera)
            _log(
                f"view with: rerun {recording}, or in a browser: "
                f"rerun --web-viewer --bind 127.0.0.1 {recording}"
            )
    except KeyboardInterrupt:
        _log("stopped")
        return 0
    except (SourceError, DemoError, RerunNotInstalled, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    inputs = (DEPTH_TOPIC, CAMERA_INFO_TOPIC)
    print(summarize(recorder.statistics, inputs, files, output / BAG, output / "node.log"))
    return 0


def _log(text: str) -> None:
    print(f"demo: {text}", flush=True)


def _player_arguments(parsed: argparse.Namespace) -> list[str]:
    given = {name: getattr(parsed, name) for name in ("source", "camera", "topic", "duration")}
    return [f"--{name}={value}" for name, value in given.items() if value]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo", description="Run the node on recorded depth images and show the skeletons."
    )
    add_source_arguments(parser)
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="output folder")
    parser.add_argument(
        "--view", choices=["rerun"], help="also write a Rerun recording (requires rerun-sdk)"
    )
    return parser


def summarize(
    statistics: Statistics, inputs: Sequence[str], files: Sequence[Path], bag: Path, log: Path
) -> str:
    """Format the summary: messages per topic, latency, people and output files.

    Args:
        statistics: statistics of the run.
        inputs: input topics of the node; the others are outputs.
        files: picture files.
        bag: folder of the bag.
        log: log file of the node.
    """
    lines = ["", f"  {'topic':<34}{'type':<36}{'messages':>8}{'rate':>10}"]
    for topic, (_, kind) in TOPICS.items():
        count, rate = statistics.traffic(topic)
        direction = "in" if topic in inputs else "out"
        lines.append(f"  {topic:<34}{kind:<36}{count:>8}{rate:>7.1f} Hz  {direction}")
    p50, p95 = (value * 1000 for value in statistics.latency())
    people = statistics.people_counts()
    frames = sum(people.values())
    mean = sum(number * times for number, times in people.items()) / max(frames, 1)
    counts = ", ".join(f"{number} in {times}" for number, times in people.items())
    lines += [
        "",
        f"  latency   {p50:.0f} ms median, {p95:.0f} ms at the 95th percentile "
        f"(depth image published to {JOINTS_TOPIC.rsplit('/', 1)[1]} received)",
        f"  people    {mean:.2f} a frame ({counts} frames)",
        "",
        f"  pictures  {_format_files(files)}",
        f"  messages  {bag}: open the .mcap in Foxglove, or `ros2 bag play {bag}` with RViz",
        f"  node log  {log}",
    ]
    return "\n".join(lines)


def _format_files(files: Sequence[Path]) -> str:
    """`a/frame_0001.png ... frame_0006.png, a/skeletons.gif`."""
    stills = [file for file in files if file.suffix == ".png"]
    others = [str(file) for file in files if file.suffix != ".png"]
    shown = [str(stills[0])] if stills else []
    if len(stills) > 1:
        shown[0] += f" ... {stills[-1].name}"
    return ", ".join(shown + others) or "none: no frames were received"
