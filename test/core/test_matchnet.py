"""MatchNet: the paper's sizes (Fig. 5), and dense evaluation against patch by patch."""

import pytest
import torch
from torch import Tensor, nn

from depth_pose_ros.core.crops import FAR, HEIGHT, WIDTH
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.matchnet import MatchNet, cut_patches
from depth_pose_ros.core.models.proposals import window_pixels
from depth_pose_ros.core.models.tower import Tower, patch_extent
from depth_pose_ros.core.skeleton import NUM_JOINTS

FIG_5 = [(24, 16, 16), (64, 8, 8), (96, 8, 8), (96, 8, 8), (64, 4, 4)]


def _sizes(tower: Tower, patches: Tensor, isolated: bool) -> list[tuple[int, ...]]:
    sizes: list[tuple[int, ...]] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # A layer of the figure is a convolution with, where it has one, its pool.
        if isinstance(module, nn.MaxPool2d):
            sizes[-1] = tuple(output.shape[1:])
        else:
            sizes.append(tuple(output.shape[1:]))

    for layer in [*tower.convs, *tower.pools]:
        layer.register_forward_hook(record)
    with torch.no_grad():
        tower(patches, isolated=isolated)
    return sizes


def test_tower_has_every_size_of_figure_5() -> None:
    tower = Tower(1, ModelConfig().tower)
    assert [conv.kernel_size[0] for conv in tower.layers()] == [7, 3, 1, 1, 1]
    assert _sizes(tower, torch.zeros(2, 1, 32, 32), isolated=True) == FIG_5


def test_patch_and_dense_features_are_equal() -> None:
    tower = Tower(1, ModelConfig().tower)
    assert patch_extent(32) == 49
    assert _sizes(tower, torch.zeros(2, 1, 49, 49), isolated=False)[-1] == FIG_5[-1]


def test_features_lie_in_the_middle_of_their_quarters() -> None:
    """The 4 x 4 features are centred 12 and 4 px either side of the pixel, and see 25 px each."""
    tower = Tower(1, (1, 1, 1, 1, 1))
    for conv in tower.layers():
        nn.init.ones_(conv.weight)
    for i, pool in enumerate(tower.pools):  # a mean passes gradients to all that it sees
        assert isinstance(pool, nn.MaxPool2d)
        tower.pools[i] = nn.AvgPool2d(3, 2)
    patch = torch.ones(1, 1, 49, 49, requires_grad=True)
    features = tower(patch)
    for m, middle in enumerate((-12, -4, 4, 12)):
        (grad,) = torch.autograd.grad(features[0, 0, m, 3], patch, retain_graph=True)
        ys, xs = grad[0, 0].nonzero(as_tuple=True)
        assert (int(ys.min()) - 24, int(ys.max()) - 24) == (middle - 12, middle + 12)
        assert (int(xs.min()) - 24, int(xs.max()) - 24) == (0, 24)


def test_metric_network_has_the_papers_sizes() -> None:
    net = MatchNet(ModelConfig())
    assert net.patch_weight.shape == net.template_weight.shape == (19, 1024, 256)
    assert net.second_weight.shape == (19, 256, 256)
    assert net.match_weight.shape == (19, 256, 1)
    assert net.templates.shape == (19, 10, 49, 49)
    assert net.tower.convs[0].weight.shape == (19 * 24, 1, 7, 7)  # theta_u^k: a tower per part


def _net(shared: bool) -> MatchNet:
    torch.manual_seed(1)
    config = ModelConfig(
        templates=3, tower=(4, 6, 8, 8, 5), metric_units=(7, 6), shared_tower=shared
    )
    net = MatchNet(config).eval()
    net.templates.uniform_(-1, 1)
    for name, value in net.named_parameters():
        if "bias" in name:
            nn.init.normal_(value, std=0.1)
    nn.init.normal_(net.match_weight)
    return net


def _crops_and_pixels(window: int = 5) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    crops = torch.rand(2, 1, HEIGHT, WIDTH) * 2 - 1
    centres = torch.rand(2, NUM_JOINTS, 2) * torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])
    centres[0, 0] = torch.tensor([0.0, 0.0])  # its patch hangs over the corner
    centres[1, 1] = torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])
    return crops, window_pixels(centres, window, HEIGHT, WIDTH)


def _naive_logits(net: MatchNet, crops: Tensor, pixels: Tensor) -> Tensor:
    """Pair by pair: both towers, joined features, fully connected layers, as Fig. 5 draws it."""
    batch, parts, count, _ = pixels.shape
    padded = nn.functional.pad(crops, (24, 24, 24, 24), value=FAR)
    logits = torch.empty(batch, parts, count, net.templates.shape[1])
    for k in range(parts):
        tower = Tower(1, [conv.out_channels // net.towers for conv in net.tower.layers()])
        part = 0 if net.towers == 1 else k
        for mine, theirs in zip(tower.layers(), net.tower.layers(), strict=True):
            size = mine.out_channels
            mine.weight.data = theirs.weight.data[part * size : (part + 1) * size]
            assert mine.bias is not None and theirs.bias is not None
            mine.bias.data = theirs.bias.data[part * size : (part + 1) * size]

        def flat(patch: Tensor, tower: Tower = tower) -> Tensor:
            return tower(patch[None, None])[0].permute(1, 2, 0).flatten()

        joined_weight = torch.cat((net.patch_weight[k], net.template_weight[k]))
        for b in range(batch):
            for i in range(count):
                x, y = pixels[b, k, i].tolist()
                left = flat(padded[b, 0, y : y + 49, x : x + 49])
                for t, template in enumerate(net.templates[k]):
                    h = torch.cat((left, flat(template))) @ joined_weight + net.first_bias[k, 0]
                    h = h.relu() @ net.second_weight[k] + net.second_bias[k, 0]
                    logits[b, k, i, t] = (h.relu() @ net.match_weight[k] + net.match_bias[k])[0]
    return logits


@pytest.mark.parametrize("shared", [True, False])
def test_dense_equals_naive_pair_by_pair(shared: bool) -> None:
    net = _net(shared)
    crops, pixels = _crops_and_pixels(window=3)
    pixels = pixels[:, :, ::4]  # three of each part's nine
    with torch.no_grad():
        dense = net(crops, pixels)
        assert dense.std() > 0.1
        assert torch.allclose(dense, _naive_logits(net, crops, pixels), atol=1e-4)


@pytest.mark.parametrize("shared", [True, False])
def test_dense_equals_patch_by_patch_with_gradients(shared: bool) -> None:
    net = _net(shared)
    crops, pixels = _crops_and_pixels()
    patches = cut_patches(crops, pixels, net.extent)
    plain = net.match(net.embed_patches(patches), net.template_half())
    dense = net(crops, pixels)
    assert dense.shape == (2, NUM_JOINTS, 25, 3)
    assert torch.allclose(plain, dense, atol=1e-4)
    wanted = list(net.parameters())
    mask = torch.randn_like(plain)
    for a, b in zip(
        torch.autograd.grad((plain * mask).sum(), wanted),
        torch.autograd.grad((dense * mask).sum(), wanted),
        strict=True,
    ):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))


def test_proposals_may_be_anywhere() -> None:
    net = _net(shared=False)
    crops, _ = _crops_and_pixels()
    pixels = torch.randint(0, 170, (2, NUM_JOINTS, 6, 2))
    with torch.no_grad():
        plain = net.match(net.embed_patches(cut_patches(crops, pixels, 49)), net.template_half())
        assert torch.allclose(net(crops, pixels), plain, atol=1e-4)


def test_patch_outside_the_crop_is_far() -> None:
    crops = torch.zeros(1, 1, HEIGHT, WIDTH)
    patch = cut_patches(crops, torch.tensor([[[[0, HEIGHT - 1]]]]), 49)[0, 0, 0]
    assert (patch[:25, 24:] == 0).all()
    assert (patch[25:] == FAR).all()
    assert (patch[:, :24] == FAR).all()


def test_template_features_are_cached_and_invalidated() -> None:
    net = _net(shared=True)
    with torch.no_grad():
        first = net.template_half()
        assert net.template_half() is first
        net.templates.mul_(0.5)
        second = net.template_half()
        assert not torch.allclose(first, second)
        net.load_state_dict(_net(shared=True).state_dict())
        assert torch.equal(net.template_half(), first)
    assert net.template_half().requires_grad
    assert net.double().template_half().dtype == torch.float64
