"""Where the time of one person goes, stage by stage."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.scene import kinect_frame
from benchmarks.settings import Settings
from benchmarks.timing import side_by_side
from depth_pose_ros import crops, people
from depth_pose_ros.depth import to_metres
from depth_pose_ros.estimator import PoseEstimator
from depth_pose_ros.people import shrink


def run(settings: Settings) -> dict[str, Any]:
    """Milliseconds of each stage of one frame with one person."""
    depth, camera = kinect_frame()
    estimator = PoseEstimator.from_pretrained(
        settings.model, settings.device, 1, backend=settings.backend, threads=settings.threads
    )
    runtime, finder = estimator._runtime, estimator._finder
    network = runtime.network
    (find,) = people.find(finder, depth, camera, most=1, run=runtime.find)
    frame = crops.frame_around(find.centre)
    device = network.gamma.device
    image = torch.from_numpy(crops.cut(depth, camera, frame))[None, None].to(device)
    place = torch.from_numpy(frame.as_array())[None].to(device)
    small = shrink(depth, camera, finder.config.focal, finder.multiple)[0]
    raw = np.round(depth * 1000).astype(np.uint16)
    with torch.inference_mode():
        output = runtime.fcn(image).clone()  # maps hold until the next call only
        proposals = network.propose(output, image, place)
        unary = network.unary_terms(output, image, proposals, programs=runtime.programs).clone()
        weights = network.weigh(unary, output, proposals, runtime.programs).clone()
        (pose,) = estimator.estimate(depth, camera)
        works: dict[str, Callable[[], Any]] = {
            "decode": lambda: to_metres(raw, "16UC1"),
            "find people": lambda: people.find(finder, depth, camera, run=runtime.find),
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

        from depth_pose_ros import conversions, markers
        from depth_pose_ros.identity import identify
    except ImportError:
        return None
    header, style = Header(frame_id="camera"), markers.MarkerStyle(0.05, 0.25, "p", 0.0)

    def make(poses: list[Any]) -> None:
        persons = identify(poses)
        conversions.cloud(header, persons, 0.0)
        conversions.transforms(header, persons, "p", 0.0)
        markers.markers(header, persons, style, frozenset())

    return make
