"""Flip test-time augmentation: cell alignment, swapped sides, equality of the backends."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from depth_pose_ros.core.backends.backend import make_backend
from depth_pose_ros.core.crops import HEIGHT, WIDTH, frame_around
from depth_pose_ros.core.models.config import compact, paper
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput, log_heat
from depth_pose_ros.core.models.flip import FlipAveragedFcn, average_flipped, flip_crops
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.skeleton import EDGES, INDEX


@pytest.mark.parametrize(("stride", "columns"), [(4, 44), (8, 22)])
def test_flipped_cells_map_to_cells(stride: int, columns: int) -> None:
    crops = torch.rand(2, 1, HEIGHT, WIDTH)
    cells = crops[..., ::stride, ::stride]
    assert cells.shape[-1] == columns
    assert torch.equal(flip_crops(crops, stride)[..., ::stride, ::stride], cells.flip(-1))


def test_averaging_equal_outputs_changes_nothing() -> None:
    """Left and right are exchanged by hand, joint by joint and edge by edge."""
    maps = FcnOutput(
        torch.randn(1, 19, 9, 7), torch.randn(1, 19, 9, 7), torch.randn(1, 54, 9, 7), True
    )
    assert maps.displacement is not None
    heat, depth, moves = (torch.empty_like(m) for m in (maps.heat, maps.depth, maps.displacement))
    swap = {"Left": "Right", "Righ": "Left"}
    twin = {n: swap.get(n[:4], n[:4]) + n[5 if n[:4] == "Righ" else 4 :] for n in INDEX}
    for name, other in twin.items():
        heat[:, INDEX[other]] = maps.heat[:, INDEX[name]].flip(-1)
        depth[:, INDEX[other]] = maps.depth[:, INDEX[name]].flip(-1)
    names = list(INDEX)
    for e, edge in enumerate(EDGES):
        ends = twin[names[edge.parent]], twin[names[edge.child]]
        (there,) = (f for f, o in enumerate(EDGES) if (names[o.parent], names[o.child]) == ends)
        for axis, sign in enumerate((-1, 1, 1)):
            moves[:, 3 * there + axis] = sign * maps.displacement[:, 3 * e + axis].flip(-1)
    found = average_flipped(maps, FcnOutput(heat, depth, moves, True))
    assert found.displacement is not None
    torch.testing.assert_close(log_heat(found), log_heat(maps))
    torch.testing.assert_close(found.depth, maps.depth)
    torch.testing.assert_close(found.displacement, maps.displacement)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("config", [compact(), paper()], ids=["compact", "paper"])
@pytest.mark.parametrize("threads", [1, 2])
def test_backends_apply_the_flip_test(backend: str, config: object, threads: int) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    torch.manual_seed(0)
    small = replace(config, templates=2, window=5)  # type: ignore[type-var]
    if small.fcn == "paper":
        small = replace(small, tower=(4, 6, 8, 8, 5), metric_units=(7, 6))
    network, detector = PoseNetwork(small).eval(), PersonDetector(DetectorConfig()).eval()
    crops = np.random.default_rng(0).uniform(-1, 1, (2, HEIGHT, WIDTH)).astype(np.float32)
    frames = np.stack([frame_around((0.1, 0.0, 3.0)).as_array()] * 2)
    runtime = make_backend(network, detector, torch.device("cpu"), backend, threads, flip_test=True)
    together = runtime.poses(crops, frames, "full")
    alone = runtime.poses(crops[:1], frames[:1], "full")
    network.fcn = FlipAveragedFcn(network.fcn)  # type: ignore[assignment]
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops)[:, None], torch.from_numpy(frames))
    for a, b, c in zip(together, alone, expected, strict=True):
        torch.testing.assert_close(a, c, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(b, c[:1], atol=1e-3, rtol=1e-3)
