"""MatchNet and tree inference against the FCN, and against MatchNet run patch by patch.

Weights are random except for the default model's: times do not depend on them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.settings import Settings
from benchmarks.stages import after_fcn
from benchmarks.timing import interleave, ratio
from depth_pose_ros.core.backends.backend import Backend, make_backend
from depth_pose_ros.core.crops import HEIGHT, WIDTH
from depth_pose_ros.core.models.config import compact, paper
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.matchnet import MatchNet, cut_patches
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.weights import load, resolve

_FRAME = torch.tensor([[-0.3, -0.4, 0.004, 3.0]])


def run(settings: Settings) -> dict[str, Any]:
    """Times of the models' stages and the ratios of the project's goals."""
    shipped = load(resolve(settings.model))
    torch.manual_seed(0)
    models = {"default": shipped, "compact": PoseNetwork(compact()), "paper": PoseNetwork(paper())}
    result: dict[str, Any] = {n: _chain(settings, m.eval()) for n, m in models.items()}
    result["default"] |= _patch_by_patch(settings, shipped)
    return result


def _backend(settings: Settings, network: PoseNetwork) -> Backend:
    detector = PersonDetector(DetectorConfig()).eval()
    name = settings.backend.removesuffix("-int8")  # only trained weights have a quantized FCN
    return make_backend(network, detector, torch.device("cpu"), name, settings.threads)


def _chain(settings: Settings, network: PoseNetwork) -> dict[str, Any]:
    backend, image = _backend(settings, network), _random_crop()
    with torch.inference_mode():
        stages = after_fcn(backend, _output_at(_standing_person(), network), image, _FRAME)

        def match_and_infer() -> None:
            stages["MatchNet"]()
            stages["tree inference"]()

        works: dict[str, Callable[[], Any]] = {
            "FCN": lambda: backend.fcn(image),
            "MatchNet": stages["MatchNet"],
            "tree inference": stages["tree inference"],
            "MatchNet and tree inference": match_and_infer,
            "whole chain": lambda: (backend.fcn(image), stages["all after the FCN"]()),
        }
        times = interleave(works, settings.seconds)
    return {
        "ms": times,
        "chain_over_fcn": ratio(times["whole chain"], times["FCN"]),
        "matchnet_dp_over_fcn": ratio(times["MatchNet and tree inference"], times["FCN"]),
    }


def _patch_by_patch(settings: Settings, network: PoseNetwork) -> dict[str, Any]:
    """MatchNet as deployed, and as in Fig. 5: every patch and every pair on its own."""
    backend, image = _backend(settings, network), _random_crop()
    pipeline = getattr(backend, "pipeline", None)
    with torch.inference_mode():
        pixels = network.propose(_output_at(_standing_person(), network), image, _FRAME).pixels
        starts = np.ascontiguousarray(pixels[0, :, 0].numpy())

        def dense() -> Tensor:
            if pipeline is None:
                return network.appearance(image, pixels)
            result = torch.empty(pixels.shape[1:3])
            pipeline.matchnet(image[0, 0].numpy(), starts, result.numpy(), range(len(starts)))
            return result

        def naive() -> Tensor:
            return naive_appearance(network.matchnet, image, pixels, network.match_weight)

        torch.set_num_threads(settings.threads)  # the naive version may use all of them
        gap = (naive() - dense()).abs().max()
        if gap > 1e-3:
            raise AssertionError(f"dense and naive MatchNet differ by {gap}")
        works = {"patch by patch": naive, "dense": dense}
        times = interleave(works, 0.0, min_runs=1 if settings.quick else 3)
    return {"matchnet_ms": times, "dense_speedup": ratio(times["patch by patch"], times["dense"])}


def naive_appearance(net: MatchNet, crops: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """(1, 19, n): every patch through the tower, every pair's joined features through all layers.

    Part by part, to limit memory.
    """
    template_features = net._patch_features(net.templates)
    kinds = net.templates.shape[1]
    scores = []
    for k in range(pixels.shape[1]):
        patches = cut_patches(crops, pixels[:, k : k + 1], net.extent)[0, 0][:, None]
        if net.towers == 1:
            features = net.tower(patches)
        else:  # all towers run; the part's own features are selected
            stacked = net.tower(patches.expand(-1, net.towers, -1, -1))
            features = stacked.unflatten(1, (net.towers, -1))[:, k]
        flat = features.flatten(2).transpose(1, 2).flatten(1)
        count = flat.shape[0]
        joined = torch.cat(
            (
                flat[:, None].expand(-1, kinds, -1),
                template_features[k][None].expand(count, -1, -1),
            ),
            dim=-1,
        )
        first = torch.cat((net.patch_weight[k], net.template_weight[k]))
        hidden = F.relu(joined @ first + net.first_bias[k])
        hidden = F.relu(hidden @ net.second_weight[k] + net.second_bias[k])
        match = (hidden @ net.match_weight[k] + net.match_bias[k])[..., 0].sigmoid()
        scores.append(match @ weights[k])
    return torch.stack(scores)[None]


def _random_crop() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 1, HEIGHT, WIDTH, generator=generator) * 2 - 1


def _standing_person() -> Tensor:
    """(19, 2) crop pixels of a standing person with slightly raised arms."""
    points = [(88, 25), (88, 42), (88, 55), (88, 80), (88, 105)]
    points += [(72, 50), (62, 75), (54, 98), (52, 108), (104, 50), (114, 75), (122, 98), (124, 108)]
    points += [(80, 110), (78, 150), (76, 190), (96, 110), (98, 150), (100, 190)]
    return torch.tensor(points, dtype=torch.float32)


def _output_at(points: Tensor, network: PoseNetwork) -> FcnOutput:
    """Maps with sharp peaks at the points: MatchNet's work depends on where the windows are."""
    stride = network.fcn.stride
    rows, columns = -(-HEIGHT // stride), -(-WIDTH // stride)
    y, x = stride * torch.arange(rows)[:, None], stride * torch.arange(columns)
    far = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    logits = bool(network.fcn.logits)
    heat = -far / 50 if logits else torch.exp(-far / 50)
    depth = torch.zeros_like(heat)[None]
    displacement = None
    if network.config.displacement:
        displacement = torch.zeros(1, 54, rows, columns)
    return FcnOutput(heat[None], depth, displacement, logits)
