"""MatchNet and the programme against the FCN, and against MatchNet run patch by patch.

Weights are random but for the default model's: times do not depend on them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.settings import Settings
from benchmarks.timing import ratio, side_by_side
from depth_pose_ros.core.backends.backend import make_backend
from depth_pose_ros.core.crops import HEIGHT, WIDTH
from depth_pose_ros.core.models.config import compact, paper
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.matchnet import MatchNet, cut_patches
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.weights import load, resolve


def run(settings: Settings) -> dict[str, Any]:
    """Times of both models' chains, and the ratios that the goals are about."""
    shipped = load(resolve(settings.model))
    torch.manual_seed(0)
    models = {"default": shipped, "compact": PoseNetwork(compact()), "paper": PoseNetwork(paper())}
    result: dict[str, Any] = {n: _chain(settings, m.eval()) for n, m in models.items()}
    result["default"] |= _patch_by_patch(settings, shipped)
    return result


def _chain(settings: Settings, network: PoseNetwork) -> dict[str, Any]:
    detector = PersonDetector(DetectorConfig()).eval()
    device = torch.device("cpu")
    backend = settings.backend.removesuffix("-int8")  # only learned weights have that one
    runtime = make_backend(network, detector, device, backend, settings.threads)
    image = _standing()
    place = torch.tensor([[-0.3, -0.4, 0.004, 3.0]])
    with torch.inference_mode():
        output = _at(_limbs(), network)

        def match_and_tree() -> None:
            unary = network.unary_terms(output, image, proposals, programs=runtime.programs)
            network.weigh(unary, output, proposals, runtime.programs)

        def whole() -> None:
            runtime.fcn(image)
            network.complete(output, image, place, "full", runtime.programs)

        proposals = network.propose(output, image, place)
        unary = network.unary_terms(output, image, proposals, programs=runtime.programs).clone()
        works: dict[str, Callable[[], Any]] = {
            "FCN": lambda: runtime.fcn(image),
            "MatchNet": lambda: network.unary_terms(
                output, image, proposals, programs=runtime.programs
            ),
            "programme": lambda: network.weigh(unary, output, proposals, runtime.programs),
            "MatchNet and programme": match_and_tree,
            "whole chain": whole,
        }
        times = side_by_side(works, settings.seconds)
    return {
        "ms": times,
        "chain_over_fcn": ratio(times["whole chain"], times["FCN"]),
        "matchnet_dp_over_fcn": ratio(times["MatchNet and programme"], times["FCN"]),
    }


def _patch_by_patch(settings: Settings, network: PoseNetwork) -> dict[str, Any]:
    """MatchNet's scores as it is deployed, and as Fig. 5 reads: every patch, every pair."""
    device, detector = torch.device("cpu"), PersonDetector(DetectorConfig()).eval()
    backend = settings.backend.removesuffix("-int8")
    runtime = make_backend(network, detector, device, backend, settings.threads)
    programs, image = runtime.programs, _standing()
    appearance = programs.appearance if programs else network.appearance
    with torch.inference_mode():
        output = _at(_limbs(), network)
        pixels = network.propose(output, image, torch.tensor([[-0.3, -0.4, 0.004, 3.0]])).pixels
        torch.set_num_threads(settings.threads)  # the plain version may use all of them
        plain = naive_appearance(network.matchnet, image, pixels, network.match_weight)
        gap = (plain - appearance(image, pixels)).abs().max()
        if gap > 1e-3:
            raise AssertionError(f"dense and plain MatchNet differ by {gap}")
        works: dict[str, Callable[[], Any]] = {
            "patch by patch": lambda: naive_appearance(
                network.matchnet, image, pixels, network.match_weight
            ),
            "dense": lambda: appearance(image, pixels),
        }
        times = side_by_side(works, 0.0, least=1 if settings.quick else 3)
    return {"matchnet_ms": times, "dense_speedup": ratio(times["patch by patch"], times["dense"])}


def naive_appearance(net: MatchNet, crops: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """(1, 19, n): every patch through the tower, every pair's joined features through all layers.

    Part by part, for memory's sake.
    """
    template_features = net._patch_features(net.templates)
    kinds = net.templates.shape[1]
    scores = []
    for k in range(pixels.shape[1]):
        patches = cut_patches(crops, pixels[:, k : k + 1], net.extent)[0, 0][:, None]
        if net.towers == 1:
            features = net.tower(patches)
        else:  # all towers run, side by side: take the part's own
            everyone = net.tower(patches.expand(-1, net.towers, -1, -1))
            features = everyone.unflatten(1, (net.towers, -1))[:, k]
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


def _standing() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 1, HEIGHT, WIDTH, generator=generator) * 2 - 1


def _limbs() -> Tensor:
    """(19, 2) crop pixels of a person who stands with the arms a little off the body."""
    points = [(88, 25), (88, 42), (88, 55), (88, 80), (88, 105)]
    points += [(72, 50), (62, 75), (54, 98), (52, 108), (104, 50), (114, 75), (122, 98), (124, 108)]
    points += [(80, 110), (78, 150), (76, 190), (96, 110), (98, 150), (100, 190)]
    return torch.tensor(points, dtype=torch.float32)


def _at(points: Tensor, network: PoseNetwork) -> FcnOutput:
    """Maps with sharp peaks there: MatchNet's work depends on where its windows lie."""
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
