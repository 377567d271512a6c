"""The estimator end to end, by number of people and by backend, and its start."""

import resource
import subprocess
import sys
import time
from functools import partial
from typing import Any, get_args

from benchmarks.scene import kinect_frame
from benchmarks.settings import Settings
from benchmarks.timing import side_by_side
from depth_pose_ros.core import detection
from depth_pose_ros.core.backends.backend import Backend
from depth_pose_ros.core.estimator import PoseEstimator

_COLD = """
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
    """Milliseconds of ``estimate()`` and of its pose part; the cost of one more person."""
    depth, camera = kinect_frame()
    result: dict[str, Any] = {"backends": {}}
    for backend in get_args(Backend):
        try:
            estimator, alone = (_load(settings, backend, most) for most in (6, 1))
        except ValueError as error:
            result["backends"][backend] = {"reason": str(error)}
            continue
        find = partial(
            detection.find, estimator._detector, depth, camera, run=estimator._backend.find
        )
        finds = find()
        works = {
            "estimate, one person": partial(alone.estimate, depth, camera),
            "pose, one person": partial(estimator.estimate_at, depth, camera, finds[:1]),
            "pose, two people": partial(estimator.estimate_at, depth, camera, finds[:2]),
        }
        # The detector leaves the cache and the threads as it does in every frame.
        result["backends"][backend] = side_by_side(works, settings.seconds, before=find)
    chosen = result["backends"][settings.backend]
    one, two = chosen["pose, one person"]["p50"], chosen["pose, two people"]["p50"]
    result["estimate"] = chosen["estimate, one person"]
    result["extra_person_ratio"] = round((two - one) / one, 4)
    result["cold"] = _cold(settings)
    result["rss_mb_here"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return result


def _load(settings: Settings, backend: str, most: int) -> PoseEstimator:
    return PoseEstimator.from_pretrained(
        settings.model,
        device=settings.device,
        max_people=most,
        backend=backend,
        threads=settings.threads,
    )


def _cold(settings: Settings) -> dict[str, float]:
    """A fresh process: seconds from its first line to its first skeleton, peak memory in MB."""
    arguments = (settings.model or "", settings.device, settings.backend, str(settings.threads))
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _COLD, *arguments], capture_output=True, text=True, check=True
    )
    whole = time.perf_counter() - start
    inside, rss = (float(v) for v in done.stdout.split())
    return {"seconds": round(inside, 2), "process_seconds": round(whole, 2), "rss_mb": round(rss)}
