"""Devices other than the CPU: every tensor made on the way is made where the inputs are."""

import pytest
import torch

from depth_pose_ros.core.crops import HEIGHT, WIDTH, frame_around
from depth_pose_ros.core.models.config import ModelConfig, compact, paper
from depth_pose_ros.core.models.matchnet import cut_patches
from depth_pose_ros.core.models.pose_network import PoseNetwork

BOTH = pytest.mark.parametrize("config", [paper(), compact()], ids=lambda c: c.name)


@BOTH
def test_steps_stay_on_their_device(config: ModelConfig) -> None:
    """On "meta", which refuses tensors of the CPU, as a GPU would; it knows shapes, not values."""
    network = PoseNetwork(config).eval().to("meta")
    crops, frames = (torch.zeros(s, device="meta") for s in ((2, 1, HEIGHT, WIDTH), (2, 4)))
    output = network.fcn(crops)
    single = network.propose(output, crops, frames, single=True)
    proposals = network.propose(output, crops, frames)
    patches = cut_patches(crops, proposals.pixels[:, :, :4], network.matchnet.extent)
    logits = network.matchnet.match(
        network.matchnet.embed_patches(patches), network.matchnet.template_half()
    )
    assert logits.shape == (2, 19, 4, 10)
    phi = torch.zeros(2, 19, 289, 10, device="meta")
    unary = network.unary_terms(output, crops, proposals, phi)
    weights = network.marginals(unary, network.pairwise_terms(output, proposals))
    pose = network.decode(output, proposals, weights)
    assert {t.device.type for t in (*pose, *single) if isinstance(t, torch.Tensor)} == {"meta"}
    assert pose.joints.shape == (2, 19, 3)


@BOTH
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_skeleton(config: ModelConfig) -> None:
    torch.manual_seed(0)
    network = PoseNetwork(config).eval()
    crops = torch.rand(2, 1, HEIGHT, WIDTH) * 2 - 1
    frames = torch.from_numpy(frame_around((0.1, 0.0, 3.0)).as_array()).expand(2, 4)
    with torch.inference_mode():
        expected = network(crops, frames)
        found = network.cuda()(crops.cuda(), frames.cuda())
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other.cpu(), atol=2e-2)
