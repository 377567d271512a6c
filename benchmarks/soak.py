"""A long run at 30 Hz: people enter and leave, the camera process is killed and restarted.

python -m benchmarks.soak --minutes 30

Each row of build/soak.csv is a sample of the node's process.  Prints the result at the end; the
exit code is 1 if it fails.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from tf2_msgs.msg import TFMessage

from benchmarks.settings import ROOT
from depth_pose_ros.demo.session import NODE, isolate
from depth_pose_ros.ros.messages import CLOUD_DTYPE

_MIB = 2**20
_CAMERA_ON, _CAMERA_OFF = 60.0, 5.0  # seconds
_START_TIMEOUT = 180.0  # seconds until the first result
_WARM_UP = 0.3  # share of the run, in which caches and pools fill
_MAX_GROWTH = 50.0  # MiB; a leak of one image per second is a GiB
_RESUME_TIMEOUT = 60.0  # seconds from the camera's restart to the next result


@dataclass(frozen=True)
class Sample:
    """The node's process: seconds since the start, MiB, counts; results since the last sample."""

    seconds: float
    memory: float
    threads: int
    files: int
    frames: int
    results: int
    people: int
    ids: int


class Listener(Node):
    """Counts the node's messages."""

    def __init__(self) -> None:
        super().__init__("soak")
        self.results = self.people = 0
        self.ids: set[int] = set()
        self.frames: set[str] = set()
        self.status = ""
        self.create_subscription(PointCloud2, "/depth_pose_node/joints", self._on_joints, 5)
        self.create_subscription(TFMessage, "/tf", self._on_tf, 5)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_status, 5)

    def _on_joints(self, cloud: PointCloud2) -> None:
        numbers = set(np.frombuffer(cloud.data, CLOUD_DTYPE)["person"].tolist())
        self.results += 1
        self.people = len(numbers)
        self.ids |= numbers

    def _on_tf(self, message: TFMessage) -> None:
        self.frames |= {transform.child_frame_id for transform in message.transforms}

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status = message.status[0].message


def main() -> int:
    """Run the soak test."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=30.0, help="images per second")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "soak.csv")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    isolate()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with args.out.with_suffix(".log").open("w") as log:
        node = subprocess.Popen([sys.executable, *NODE], stdout=log, stderr=subprocess.STDOUT)
        try:
            samples, resume_times, failures = soak(node, args.minutes * 60.0, args.rate, args.every)
        finally:
            node.terminate()
            node.wait()
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(samples[0])))
        writer.writeheader()
        writer.writerows(map(asdict, samples))
    found = evaluate(samples, resume_times, failures)
    print(json.dumps(found, indent=1), f"\n{args.out}")
    return 0 if found["passed"] else 1


def soak(
    node: subprocess.Popen[bytes], seconds: float, rate: float, every: float
) -> tuple[list[Sample], list[float], int]:
    """Returns samples, seconds until results resumed after each restart, and failed restarts.

    Raises:
        RuntimeError: the node ended, or published no result.
    """
    rclpy.init(args=[])
    listener, executor = Listener(), SingleThreadedExecutor()
    executor.add_node(listener)
    samples: list[Sample] = []
    resume_times: list[float] = []
    failures, camera = 0, start_camera(rate)
    started = time.monotonic()

    def spin(until: float, for_results: bool = False) -> bool:
        """Spin until a time or the next result, and take samples."""
        before = listener.results
        while time.monotonic() < until:
            executor.spin_once(timeout_sec=0.1)
            if node.poll() is not None:
                raise RuntimeError(f"the node ended with exit code {node.returncode}")
            now = time.monotonic() - started
            if listener.results and now >= len(samples) * every:
                samples.append(sample(node.pid, now, listener, samples))
            if for_results and listener.results > before:
                return True
        return False

    try:
        if not spin(started + _START_TIMEOUT, for_results=True):
            raise RuntimeError(f"no result in {_START_TIMEOUT:g} s; its status: {listener.status}")
        started = time.monotonic()
        samples.clear()
        while time.monotonic() - started < seconds:
            spin(min(time.monotonic() + _CAMERA_ON, started + seconds))
            camera.kill()
            camera.wait()
            spin(time.monotonic() + _CAMERA_OFF)
            camera, restarted = start_camera(rate), time.monotonic()
            failures += not spin(restarted + _RESUME_TIMEOUT, for_results=True)
            resume_times.append(time.monotonic() - restarted)
    finally:
        camera.kill()
        camera.wait()
        executor.shutdown()
        rclpy.try_shutdown()
    return samples, resume_times, failures


def start_camera(rate: float) -> "subprocess.Popen[bytes]":
    """The camera as a process that can be killed."""
    command = [sys.executable, "-m", "benchmarks.soak_camera_process", str(rate)]
    return subprocess.Popen(command, cwd=ROOT)


def sample(pid: int, seconds: float, listener: Listener, before: list[Sample]) -> Sample:
    """A sample of the process from /proc, and the results since the previous sample."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    return Sample(
        seconds=round(seconds, 1),
        memory=round(int(status["VmRSS"].split()[0]) * 1024 / _MIB, 1),
        threads=int(status["Threads"]),
        files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        frames=len(listener.frames),
        results=listener.results - sum(s.results for s in before),
        people=listener.people,
        ids=len(listener.ids),
    )


def evaluate(samples: list[Sample], resume_times: list[float], failures: int) -> dict[str, Any]:
    """The run's result and whether it passed."""
    warm = samples[int(len(samples) * _WARM_UP) :]
    times = np.array([s.seconds for s in warm])
    memory = np.array([s.memory for s in warm])
    slope = float(np.polyfit(times, memory, 1)[0]) if len(warm) > 2 else float("nan")
    growth = slope * float(times[-1] - times[0])
    threads = {s.threads for s in warm}
    reasons = []
    if not growth < _MAX_GROWTH:
        reasons.append(f"memory grew by {growth:.1f} MiB")
    if max(threads) > warm[0].threads:
        reasons.append(f"threads grew from {warm[0].threads} to {max(threads)}")
    if warm[-1].files > warm[0].files + 8:
        reasons.append(f"open files grew from {warm[0].files} to {warm[-1].files}")
    if failures:
        reasons.append(f"no results after {failures} of {len(resume_times)} restarts of the camera")
    return {
        "passed": not reasons,
        "reasons": reasons,
        "seconds": samples[-1].seconds,
        "memory_mib": [warm[0].memory, warm[-1].memory],
        "growth_mib": round(growth, 1),
        "threads": [warm[0].threads, warm[-1].threads],
        "files": [warm[0].files, warm[-1].files],
        "results": sum(s.results for s in samples),
        "ids": samples[-1].ids,
        "restarts": len(resume_times),
        "slowest_resume_s": round(max(resume_times, default=0.0), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
