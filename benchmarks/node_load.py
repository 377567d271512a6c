"""The node at a camera's rate: two processes, 30 frames per second over DDS."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.settings import NotMeasured, Settings
from benchmarks.timing import summary

_DOMAIN = "87"
_FULL, _QUICK = 120.0, 5.0  # seconds


def run(settings: Settings) -> dict[str, Any]:
    """Rate, latency from a frame's publication to its markers' arrival, CPU, memory, start-up.

    With one person, and under "two people" with both people of the clip.

    Raises:
        NotMeasured: no ROS here, or the node did not start.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise NotMeasured("ROS 2 is missing: rclpy cannot be imported")
    return {**_load(settings, people=1), "two people": _load(settings, people=2)}


def _load(settings: Settings, people: int) -> dict[str, Any]:
    """The node with ``max_people`` set to ``people``."""
    seconds = _QUICK if settings.quick else _FULL
    env = {
        **os.environ,
        "ROS_DOMAIN_ID": _DOMAIN,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    parameters = {
        "threads": settings.threads,
        "device": settings.device,
        "backend": settings.backend,
        "max_people": people,
        **({"model": settings.model} if settings.model else {}),
    }
    arguments = [a for k, v in parameters.items() for a in ("-p", f"{k}:={v}")]
    command = [sys.executable, "-m", "depth_pose_ros.ros.main", "--ros-args", *arguments]
    started = time.time()
    node = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    camera = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.camera_process", str(seconds)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert camera.stdout is not None
        line = camera.stdout.readline()
        if not line:
            raise NotMeasured(f"the node published no skeleton: {_error_output(node)}")
        first = json.loads(line)["first_skeleton"] - started
        before, at = _cpu_seconds(node.pid), time.monotonic()
        line = camera.stdout.readline()
        cpu = (_cpu_seconds(node.pid) - before) / (time.monotonic() - at)
        peak = _peak_mb(node.pid)
    finally:
        for process in (camera, node):
            process.terminate()
        for process in (camera, node):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
    if not line:
        raise NotMeasured("the camera process ended early")
    report = json.loads(line)
    latencies: list[float] = report["latencies"]
    if not latencies:
        raise NotMeasured("the node published no markers under load")
    return {
        "seconds": seconds,
        "sent": report["sent"],
        "returned": len(latencies),
        "rate_hz": round(len(latencies) / seconds, 2),
        "latency_ms": summary(latencies),
        "cpu_cores": round(cpu, 2),
        "rss_mb": round(peak),
        "first_skeleton_s": round(first, 2),
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise NotMeasured("/proc does not show peak memory here")


def _error_output(node: "subprocess.Popen[bytes]") -> str:
    node.terminate()
    assert node.stderr is not None
    return node.stderr.read().decode(errors="replace").strip()[-300:]
