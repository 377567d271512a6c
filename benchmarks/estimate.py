"""The estimator by backend and number of people, MediaPipe, and the start of a process."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import torch

from benchmarks.mediapipe_pose import MediaPipe
from benchmarks.scene import kinect_frame
from benchmarks.settings import NotMeasured, Settings
from benchmarks.timing import interleave
from depth_pose_ros.core import detection
from depth_pose_ros.core.backends.backend import BackendName
from depth_pose_ros.core.estimator import PoseEstimator

_COLD_START = """
import resource, sys, time
start = time.perf_counter()
from benchmarks.scene import kinect_frame
from depth_pose_ros.core.estimator import PoseEstimator
depth, camera = kinect_frame()
model, device, backend, threads = sys.argv[1:]
e = PoseEstimator.from_pretrained(model, device=device, backend=backend, threads=int(threads))
assert e.estimate(depth, camera)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def run(settings: Settings) -> dict[str, Any]:
    """Milliseconds of ``estimate()`` and of its pose part; the cost of a second person.

    All backends and MediaPipe are measured by turns.
    """
    result: dict[str, Any] = {"backends": {}, "mediapipe": {}}
    works: dict[str, Callable[[], Any]] = {}
    before: dict[str, Callable[[], Any]] = {}
    for backend in get_args(BackendName):
        try:
            calls, detect = _backend_calls(settings, backend)
        except ValueError as error:
            result["backends"][backend] = {"reason": str(error)}
            continue
        for name, call in calls.items():
            works[f"{backend}/{name}"], before[f"{backend}/{name}"] = call, detect
    mediapipe = None
    try:
        mediapipe = MediaPipe()
        for mode in ("tracked", "detected"):
            works[f"mediapipe/{mode}"] = partial(mediapipe.process, mode)
    except NotMeasured as error:
        result["mediapipe"] = {"reason": str(error)}
    times = interleave(works, settings.seconds, before=before)
    if mediapipe is not None:
        mediapipe.close()
    for key, time_summary in times.items():
        backend, name = key.split("/")
        group = result["mediapipe"] if backend == "mediapipe" else result["backends"]
        target = group if backend == "mediapipe" else group.setdefault(backend, {})
        target[name] = time_summary
    chosen = result["backends"][settings.backend]
    one, two = chosen["pose, one person"]["p50"], chosen["pose, two people"]["p50"]
    result["estimate"] = chosen["estimate, one person"]
    result["extra_person_ratio"] = round((two - one) / one, 4)
    result["cold_start"] = _cold_start(settings)
    result["rss_mb_here"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return result


def _backend_calls(
    settings: Settings, backend: str
) -> tuple[dict[str, Callable[[], Any]], Callable[[], Any]]:
    """The functions to measure, and the one to call before each.

    That is the detector, which leaves caches and threads as it does in every frame.
    """
    depth, camera = kinect_frame()
    estimator, single = (_load(settings, backend, people) for people in (6, 1))
    detect = partial(
        detection.detect, estimator._detector, depth, camera, run=estimator._backend.detect
    )
    threads = torch.get_num_threads()  # the backend's choice; the next backend sets its own

    def prepare() -> None:
        torch.set_num_threads(threads)
        detect()

    detections = detect()
    return {
        "estimate, one person": partial(single.estimate, depth, camera),
        "pose, one person": partial(estimator.estimate_at, depth, camera, detections[:1]),
        "pose, two people": partial(estimator.estimate_at, depth, camera, detections[:2]),
    }, prepare


def _load(settings: Settings, backend: str, max_people: int) -> PoseEstimator:
    return PoseEstimator.from_pretrained(
        settings.model,
        device=settings.device,
        max_people=max_people,
        backend=backend,
        threads=settings.threads,
    )


def _cold_start(settings: Settings) -> dict[str, float]:
    """A new process: seconds from its first line to its first skeleton, peak memory in MB."""
    arguments = (settings.model or "", settings.device, settings.backend, str(settings.threads))
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _COLD_START, *arguments], capture_output=True, text=True, check=True
    )
    whole = time.perf_counter() - start
    inside, rss = (float(v) for v in done.stdout.split())
    return {"seconds": round(inside, 2), "process_seconds": round(whole, 2), "rss_mb": round(rss)}
