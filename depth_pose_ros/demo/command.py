"""The demo's command line: `make demo`, `python -m depth_pose_ros.demo`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from depth_pose_ros.demo.frames import SourceError
from depth_pose_ros.demo.pictures import write_pictures
from depth_pose_ros.demo.playback import CAMERA_INFO_TOPIC, DEPTH_TOPIC, add_source_arguments
from depth_pose_ros.demo.rerun_view import NoRerun, rerun, write_recording
from depth_pose_ros.demo.session import BAG, NODE, DemoError, Plan, isolate, record
from depth_pose_ros.demo.sources import open_source
from depth_pose_ros.demo.summary import summarize


def run(args: Sequence[str] | None = None, node: Sequence[str] = NODE) -> int:
    """Run the demo; the process's exit code.

    Args:
        args: the command line without the program's name; None for the process's own.
        node: the interpreter's arguments that start the node.
    """
    parsed = _parser().parse_args(args)
    for number in (signal.SIGTERM, signal.SIGHUP):  # told to end, or the terminal was closed
        signal.signal(number, signal.default_int_handler)
    output: Path = parsed.output
    try:
        if parsed.view == "rerun":
            rerun()  # now, not when all is done, if it is missing
        source = open_source(parsed.source, parsed.camera, parsed.topic)
        output.mkdir(parents=True, exist_ok=True)
        for old in output.glob("frame_*.png"):
            old.unlink()
        camera = source.camera
        _say(
            f"depth source: {source.name}, {camera.width} x {camera.height}, "
            f"{source.fps:.0f} Hz, {len(source)} frames"
        )
        _say(f"ROS_DOMAIN_ID={isolate()}, this machine only")
        recorder = record(
            Plan(source, _player_arguments(parsed), output, parsed.duration, node, _say)
        )
        _say("drawing ...")
        files = write_pictures(output, recorder.film.shots, camera)
        if parsed.view == "rerun":
            recording = write_recording(output, recorder.film.shots, camera)
            _say(f"rerun {recording} opens it, rerun --web-viewer {recording} in a browser")
    except KeyboardInterrupt:
        _say("stopped")
        return 0
    except (SourceError, DemoError, NoRerun, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    inputs = (DEPTH_TOPIC, CAMERA_INFO_TOPIC)
    print(summarize(recorder.statistics, inputs, files, output / BAG, output / "node.log"))
    return 0


def _say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def _player_arguments(parsed: argparse.Namespace) -> list[str]:
    given = {name: getattr(parsed, name) for name in ("source", "camera", "topic", "duration")}
    return [f"--{name}={value}" for name, value in given.items() if value]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo", description="Real skeletons out of the real node, from a recorded camera."
    )
    add_source_arguments(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("build/demo"), help="folder for pictures and recording"
    )
    parser.add_argument(
        "--view", choices=["rerun"], help="also write a recording for Rerun's viewer (rerun-sdk)"
    )
    return parser
