"""The time of each stage, with one person."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.scene import kinect_frame
from benchmarks.settings import Settings
from benchmarks.timing import interleave
from depth_pose_ros.core import crops, detection
from depth_pose_ros.core.backends.backend import Backend
from depth_pose_ros.core.depth import to_metres
from depth_pose_ros.core.detection import resize_depth
from depth_pose_ros.core.estimator import PoseEstimator
from depth_pose_ros.core.models.fcn import FcnOutput, log_heat

Calls = dict[str, Callable[[], Any]]


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
    backend, detector = estimator._backend, estimator._detector
    (found,) = detection.detect(detector, depth, camera, max_detections=1, run=backend.detect)
    frame = crops.frame_around(found.centre)
    device = backend.network.gamma.device
    image = torch.from_numpy(crops.cut(depth, camera, frame))[None, None].to(device)
    small = resize_depth(depth, camera, detector.config.focal, detector.multiple)[0]
    raw = np.round(depth * 1000).astype(np.uint16)
    with torch.inference_mode():
        output = backend.fcn(image).clone()  # the maps are valid until the next call
        (pose,) = estimator.estimate(depth, camera)
        works: Calls = {
            "depth decoding": lambda: to_metres(raw, "16UC1"),
            "detection": lambda: detection.detect(detector, depth, camera, run=backend.detect),
            "detection, network only": lambda: backend.detect(small),
            "crop": lambda: crops.cut(depth, camera, frame),
            "FCN": lambda: backend.fcn(image),
            **after_fcn(
                backend, output, image, torch.from_numpy(frame.as_array())[None].to(device)
            ),
        }
        if (make := _messages()) is not None:
            works["messages"] = lambda: make([pose])
        times = interleave(works, settings.seconds)
    return {"stages": times, "backend": settings.backend}


def after_fcn(backend: Backend, output: FcnOutput, crops: Tensor, frames: Tensor) -> Calls:
    """The stages after the FCN for one crop, by compiled code if the backend uses it.

    Args:
        backend: runs them.
        output, crops, frames: as of :meth:`PoseNetwork.forward_maps`.
    """
    network, pipeline = backend.network, getattr(backend, "pipeline", None)
    if pipeline is None:
        proposals = network.propose(output, crops, frames)
        unary = network.unary_terms(output, crops, proposals)
        weights = network.infer(unary, output, proposals)
        return {
            "proposals": lambda: network.propose(output, crops, frames),
            "MatchNet": lambda: network.unary_terms(output, crops, proposals),
            "tree inference": lambda: network.infer(unary, output, proposals),
            "decoding": lambda: network.decode(output, proposals, weights),
            "all after the FCN": lambda: network.forward_maps(output, crops, frames),
        }
    crop, frame = crops[0, 0].numpy(), frames[0].numpy()
    heat = (output.heat if output.logits else log_heat(output))[0].contiguous().numpy()
    made = pipeline.propose(output, heat, crop, frame)
    terms = pipeline.unary_terms(made, crop)
    shares = pipeline.tree_inference(terms, made.anchors, made.points)
    return {
        "proposals": lambda: pipeline.propose(output, heat, crop, frame),
        "MatchNet": lambda: pipeline.unary_terms(made, crop),
        "tree inference": lambda: pipeline.tree_inference(terms, made.anchors, made.points),
        "decoding": lambda: pipeline.decode(made, shares, heat),
        "all after the FCN": lambda: pipeline(output, crop, frame),
    }


def _messages() -> Callable[[list[Any]], Any] | None:
    """A function from poses to messages; None without ROS."""
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
