"""The assembly: from crops to skeletons, with planted heat maps where numbers are checked."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from depth_pose_ros.core.crops import FAR, HEIGHT, WIDTH, frame_around
from depth_pose_ros.core.models.config import ModelConfig, compact, paper
from depth_pose_ros.core.models.decode import PoseOutput, heat_in_window
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage
from depth_pose_ros.core.models.proposals import Proposals
from depth_pose_ros.core.skeleton import EDGES, INDEX, NUM_JOINTS

FRAME = frame_around((0.3, 0.1, 3.0))
STAGES: tuple[Stage, ...] = ("fcn", "matchnet", "full")
SMALL = {"window": 5, "templates": 2, "tower": (2, 3, 4, 4, 3), "metric_units": (5, 4)}


def _frames(batch: int) -> Tensor:
    return torch.from_numpy(FRAME.as_array()).expand(batch, 4)


def _small(base: ModelConfig) -> PoseNetwork:
    torch.manual_seed(0)
    network = PoseNetwork(replace(base, **SMALL)).eval()  # type: ignore[arg-type]
    network.matchnet.templates.uniform_(-1, 1)
    return network


class Planted(nn.Module):
    """An FCN whose output is given: log-Gaussians at the joints, 0.1 m behind the surface."""

    stride = 4

    def __init__(self, pixels: Tensor, depth: Tensor, displacement: Tensor | None = None) -> None:
        super().__init__()
        columns, rows = 4.0 * torch.arange(44), 4.0 * torch.arange(54)
        dx = columns - pixels[:, 0, None]
        dy = rows - pixels[:, 1, None]
        self.heat = -(dx[:, None, :] ** 2 + dy[:, :, None] ** 2) / (2 * 5.0**2)
        self.depth = depth[:, None, None].expand(NUM_JOINTS, 54, 44)
        self.displacement = displacement

    def forward(self, crops: Tensor) -> FcnOutput:
        batch = crops.shape[0]
        displacement = None
        if self.displacement is not None:
            displacement = self.displacement.reshape(1, -1, 1, 1).expand(batch, -1, 54, 44)
        return FcnOutput(
            self.heat.expand(batch, -1, -1, -1),
            self.depth.expand(batch, -1, -1, -1),
            displacement,
            logits=True,
        )


def _plant(network: PoseNetwork, displacement: Tensor | None = None) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    size = torch.tensor([WIDTH - 60.0, HEIGHT - 60.0])
    pixels = 30 + torch.rand(NUM_JOINTS, 2, generator=generator) * size
    depth = 0.05 + 0.1 * torch.rand(NUM_JOINTS, generator=generator)
    network.fcn = Planted(pixels, depth, displacement)  # type: ignore[assignment]
    network.joint_depth_offset.fill_(0.1)
    return pixels, depth


@pytest.mark.parametrize("base", [paper(), compact()], ids=lambda c: c.name)
@pytest.mark.parametrize(
    ("stage", "fill"), [*((stage, None) for stage in STAGES), ("full", FAR), ("full", -1.0)]
)
def test_untrained_networks_give_finite_skeletons(
    base: ModelConfig, stage: Stage, fill: float | None
) -> None:
    network = _small(base)
    crops = torch.rand(2, 1, HEIGHT, WIDTH) * 2 - 1
    if fill is not None:
        crops.fill_(fill)
    with torch.inference_mode():
        output = network(crops, _frames(2), stage=stage)
    assert [tuple(v.shape) for v in output] == [(2, 19, 3), (2, 19, 2), (2, 19), (2,)]
    assert all(torch.isfinite(v).all() for v in output)
    for share in (output.confidence, output.score):
        assert 0 <= share.min() <= share.max() <= 1


@pytest.mark.parametrize("base", [paper(), compact()], ids=lambda c: c.name)
def test_full_size_runs(base: ModelConfig) -> None:
    network = PoseNetwork(base).eval()
    crops, frames = torch.zeros(1, 1, HEIGHT, WIDTH), _frames(1)
    with torch.inference_mode():
        output = network.fcn(crops)
        proposals = network.propose(output, crops, frames)
        assert proposals.pixels.shape == (1, 19, 289, 2)
        assert network.pairwise_terms(output, proposals).shape == (1, 18, 289, 289)
        assert network(crops, frames).joints.shape == (1, 19, 3)


@pytest.mark.parametrize("stage", STAGES)
def test_joints_are_where_the_heat_is(stage: Stage) -> None:
    network = _small(replace(compact(), readout="best"))
    pixels, _ = _plant(network, torch.zeros(54))
    crops = torch.zeros(1, 1, HEIGHT, WIDTH)  # a wall at 3 m: every joint is measured
    with torch.inference_mode():
        output = network(crops, _frames(1), stage=stage)
    assert (output.pixels[0] - pixels).abs().max() < 1.0
    joints = torch.from_numpy(FRAME.to_space(output.pixels[0], [3.1] * 19)).float()
    assert torch.allclose(output.joints[0], joints, atol=1e-5)
    assert output.score > 0.7
    assert output.confidence.min() > 0.6


@pytest.mark.parametrize("readout", ["best", "marginals"])
def test_unseen_joints_have_the_predicted_depth_and_less_confidence(readout: str) -> None:
    network = _small(replace(compact(), readout=readout))  # type: ignore[arg-type]
    pixels, depth = _plant(network, torch.zeros(54))
    crops = torch.zeros(1, 1, HEIGHT, WIDTH)
    seen, hidden = INDEX["RightHand"], INDEX["LeftFoot"]
    x, y = pixels[hidden].round().long().tolist()
    crops[..., y - 12 : y + 13, x - 12 : x + 13] = -0.5  # something 0.6 m in front of it
    assert (pixels[seen] - pixels[hidden]).abs().max() > 30
    with torch.inference_mode():
        output = network(crops, _frames(1))
    assert output.joints[0, hidden, 2] == pytest.approx(3.0 + float(depth[hidden]), abs=1e-4)
    assert output.joints[0, seen, 2] == pytest.approx(3.1, abs=1e-4)
    assert output.confidence[0, hidden] < 0.6 * output.confidence[0, seen]


def test_unary_is_the_weighted_sum_over_templates() -> None:
    network = _small(compact())
    assert network.heat_weight is not None
    with torch.no_grad():
        network.match_weight.normal_()
        network.heat_weight.normal_()
    crops = torch.rand(1, 1, HEIGHT, WIDTH)
    with torch.no_grad():
        output = network.fcn(crops)
        proposals = network.propose(output, crops, _frames(1))
        phi = network.matchnet(crops, proposals.pixels).sigmoid()
        heat = network.heat_features(output, proposals)
        unary = network.unary_terms(output, crops, proposals)
    for k in range(NUM_JOINTS):
        naive = network.heat_weight[k] * heat[0, k]
        for t in range(2):
            naive = naive + network.match_weight[k, t] * phi[0, k, :, t]
        assert torch.allclose(unary[0, k], naive, atol=1e-5)
    network_without = _small(replace(compact(), heat_unary=False))
    assert network_without.heat_weight is None


def test_pairwise_terms_favor_the_predicted_displacement() -> None:
    """With no unary, springs on the residual alone decide, within the windows."""
    network = _small(replace(compact(), readout="best"))
    pixels, _ = _plant(network)
    crops = torch.zeros(1, 1, HEIGHT, WIDTH)
    space = torch.from_numpy(FRAME.to_space(pixels, [3.1] * 19)).float()
    bones = torch.stack([space[e.child] - space[e.parent] for e in EDGES])
    _plant(network, bones + 0.005)  # about half a pixel off
    with torch.no_grad():
        network.match_weight.zero_()
        assert network.heat_weight is not None
        network.heat_weight.zero_()
        network.gamma[:, 1::2] = -100.0
    with torch.inference_mode():
        joints = network(crops, _frames(1)).joints[0]
    found = torch.stack([joints[e.child] - joints[e.parent] for e in EDGES])
    # z does not move on a wall; x and y do by whole pixels of 11 mm.
    assert (found - bones - 0.005)[:, :2].abs().max() < 0.0115


def test_marginals_give_positions_between_proposals() -> None:
    network = _small(compact())
    pixels, _ = _plant(network, torch.zeros(54))
    output = network.fcn(torch.zeros(1, 1, HEIGHT, WIDTH))
    uniform = torch.full((1, NUM_JOINTS, 2), 0.5)
    corner = pixels.round().long()[None, :, None] + torch.tensor([[0, 0], [1, 0]])
    points = torch.randn(1, NUM_JOINTS, 2, 3)
    measured = torch.tensor([True, False]).expand(1, NUM_JOINTS, 2)
    result = network.decode(output, Proposals(corner, points, measured), uniform)
    assert torch.allclose(result.joints, points.mean(2))
    assert torch.allclose(result.pixels, corner.float().mean(2))
    heat = heat_in_window(output, 4, result.pixels)
    assert torch.allclose(result.confidence, 0.75 * heat)


def test_people_in_a_batch_are_independent() -> None:
    for base in (paper(), compact()):
        network = _small(base)
        crops = torch.rand(3, 1, HEIGHT, WIDTH) * 2 - 1
        with torch.inference_mode():
            together: PoseOutput = network(crops, _frames(3))
            for b in range(3):
                alone = network(crops[b : b + 1], _frames(1))
                for one, many in zip(alone, together, strict=True):
                    assert torch.allclose(one[0], many[b], atol=1e-4)


def test_gradients_reach_every_parameter_through_the_tree() -> None:
    torch.manual_seed(0)
    # Of as few units as elsewhere here all might be dead.
    network = PoseNetwork(replace(compact(), window=5, templates=2)).train()
    network.matchnet.templates.uniform_(-1, 1)
    with torch.no_grad():
        network.gamma.normal_()
    crops = torch.rand(2, 1, HEIGHT, WIDTH) * 0.2
    output = network(crops, _frames(2))
    (output.joints.square().sum() + output.score.sum()).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize(
    ("crops", "frames", "stage", "complaint"),
    [
        ((1, HEIGHT, WIDTH), (1, 4), "full", "crops must be"),
        ((0, 1, HEIGHT, WIDTH), (0, 4), "full", "B > 0"),
        ((2, 1, HEIGHT, WIDTH), (1, 4), "full", r"frames must be \(2, 4\)"),
        ((1, 1, HEIGHT, WIDTH), (1, 4), "half", "stage must be one of"),
    ],
)
def test_bad_input_is_named(
    crops: tuple[int, ...], frames: tuple[int, ...], stage: Stage, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        _small(compact())(torch.zeros(crops), torch.zeros(frames), stage=stage)


def test_score_comes_from_the_person_classifier() -> None:
    torch.manual_seed(0)
    network = PoseNetwork(replace(compact(), person=True)).eval()
    assert network.person is not None
    crops = torch.rand(2, 1, 216, 176)
    frames = torch.tensor([[0.0, 0.0, 0.011, 3.0]] * 2)
    with torch.no_grad():
        context = network.fcn(crops).context
        assert context.shape == (2, network.fcn.contexts)
        expected = network.person(context).sigmoid()
        network.person.logit.bias += 1
        other = network.person(context).sigmoid()
        assert (other > expected).all()
        torch.testing.assert_close(network(crops, frames, "fcn").score, other)
