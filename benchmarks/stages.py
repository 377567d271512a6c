"""Where the time of one person goes, stage by stage."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.scene import kinect_frame
from benchmarks.settings import Settings
from benchmarks.timing import side_by_side
from depth_pose_ros.core import crops, detection
from depth_pose_ros.core.depth import to_metres
from depth_pose_ros.core.detection import shrink
from depth_pose_ros.core.estimator import PoseEstimator


def run(settings: Settings) -> dict[str, Any]:
    """Milliseconds of each stage of one frame with one person."""
    depth, camera = kinect_frame()
    estimator = PoseEstimator.from_pretrained(
        settings.model,
        device=settings.device,
        max_people=1,
        backend=settings.backend,
        threads=settings.threads,
    )
    runtime, detector = estimator._backend, estimator._detector
    network = runtime.network
    (find,) = detection.find(detector, depth, camera, most=1, run=runtime.find)
    frame = crops.frame_around(find.centre)
    device = network.gamma.device
    image = torch.from_numpy(crops.cut(depth, camera, frame))[None, None].to(device)
    place = torch.from_numpy(frame.as_array())[None].to(device)
    small = shrink(depth, camera, detector.config.focal, detector.multiple)[0]
    raw = np.round(depth * 1000).astype(np.uint16)
    with torch.inference_mode():
        output = runtime.fcn(image).clone()  # maps hold until the next call only
        proposals = network.propose(output, image, place)
        unary = network.unary_terms(output, image, proposals, programs=runtime.programs).clone()
        weights = network.weigh(unary, output, proposals, runtime.programs).clone()
        (pose,) = estimator.estimate(depth, camera)
        works: dict[str, Callable[[], Any]] = {
            "decode": lambda: to_metres(raw, "16UC1"),
            "find people": lambda: detection.find(detector, depth, camera, run=runtime.find),
            "of that, its network": lambda: runtime.find(small),
            "crop": lambda: crops.cut(depth, camera, frame),
            "FCN": lambda: runtime.fcn(image),
            "proposals": lambda: network.propose(output, image, place),
            "MatchNet": lambda: network.unary_terms(
                output, image, proposals, programs=runtime.programs
            ),
            "programme": lambda: network.weigh(unary, output, proposals, runtime.programs),
            "lifting": lambda: network.readout(output, proposals, weights),
            "the last four at once": lambda: network.complete(
                output, image, place, programs=runtime.programs
            ),
        }
        if (make := _messages()) is not None:
            works["messages"] = lambda: make([pose])
        times = side_by_side(works, settings.seconds)
    return {"stages": times, "backend": settings.backend}


def _messages() -> Callable[[list[Any]], Any] | None:
    """What turns poses into messages; None without ROS."""
    try:
        from std_msgs.msg import Header

        from depth_pose_ros.core.tracking.person_tracker import identify
        from depth_pose_ros.ros import markers, messages
    except ImportError:
        return None
    header, style = Header(frame_id="camera"), markers.MarkerStyle(0.05, 0.25, "p", 0.0)

    def make(poses: list[Any]) -> None:
        persons = identify(poses)
        messages.cloud(header, persons, 0.0)
        messages.transforms(header, persons, "p", 0.0)
        markers.markers(header, persons, style, frozenset())

    return make
