"""A flip swaps left and right everywhere: in the data, the targets, the losses and the tree."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from depth_pose_ros.core import crops
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.tree_inference import max_sum
from depth_pose_ros.core.skeleton import EDGES, FLIP_INDEX, JOINTS
from depth_pose_training.data import augmentation, shards
from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.learning.losses import fcn_loss, gaussian_targets
from depth_pose_training.learning.train_detector import FrameSet
from depth_pose_training.structured.tree_problem import TreeWeights, tree_terms
from training_helpers.stick_figures import figures
from training_helpers.tree_problems import ambiguous

_FLIP_INDEX = list(FLIP_INDEX)
#: For every edge the one on the other side.
_EDGES = [EDGES.index((FLIP_INDEX[e.parent], FLIP_INDEX[e.child])) for e in EDGES]
_SIGN = torch.tensor([-1.0, 1.0, 1.0])


def mirrored(batch: Batch) -> Batch:
    """The same people in a mirror, with the crop's frame in the middle of the camera's axis."""
    pixels = batch.pixels[:, _FLIP_INDEX]
    pixels = torch.stack((crops.WIDTH - 1 - pixels[..., 0], pixels[..., 1]), -1)
    return Batch(
        batch.crops.flip(-1),
        batch.frames,
        pixels,
        batch.joints[:, _FLIP_INDEX] * _SIGN,
        batch.weight[:, _FLIP_INDEX],
        batch.visible[:, _FLIP_INDEX],
    )


def mirrored_maps(maps: Tensor, order: list[int]) -> Tensor:
    """Maps of a grid whose columns lie symmetrically: (B, K, h, w)."""
    return maps[:, order].flip(-1)


def test_names_edges_and_sides_agree() -> None:
    for k, name in enumerate(JOINTS):
        swapped = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        assert JOINTS[FLIP_INDEX[k]] == swapped
    assert sorted(_EDGES) == list(range(len(EDGES)))


def test_augmentation_swaps_all_labels_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "_UNCHANGED", 1.0)  # a flip alone is undone exactly
    shard = figures(6, seed=3)
    kinds = np.array(
        [0 if n.startswith("Left") else 1 if n.startswith("Right") else 2 for n in JOINTS]
    )
    visible = np.tile(kinds, (6, 1)).astype(np.uint8)
    shards.write(tmp_path / "shard_00000.npz", replace(shard, visible=visible))
    data, rng, flips = CropDataset(tmp_path), np.random.default_rng(0), 0
    for _ in range(8):
        batch = data.batch(np.arange(6), rng)
        for b in range(6):
            straight = torch.from_numpy(shard.joints[b])
            flipped = bool((batch.joints[b] - straight[_FLIP_INDEX] * _SIGN).abs().max() < 1e-5)
            assert flipped or (batch.joints[b] - straight).abs().max() < 1e-5
            expected = kinds[_FLIP_INDEX] if flipped else kinds
            assert batch.visible[b].tolist() == expected.tolist()
            # Joints beyond the image's edge weigh less, on whichever side they are now.
            inside = batch.weight[b] > 0
            assert (batch.weight[b] < 1)[inside].tolist() == (expected == 2)[
                inside.numpy()
            ].tolist()
            flips += flipped
    assert 10 < flips < 38


def test_fcn_targets_and_loss_are_flip_invariant(tmp_path: Path) -> None:
    shards.write(tmp_path / "shard_00000.npz", figures(3, seed=1))
    batch = CropDataset(tmp_path).batch(np.arange(3))
    other = mirrored(batch)
    generator = torch.Generator().manual_seed(0)
    # At stride 5 the 36 columns lie symmetrically in 176 pixels.
    stride, size = 5, torch.Size((44, 36))
    target = gaussian_targets(batch.pixels, size, stride, 6.0)
    assert torch.allclose(
        gaussian_targets(other.pixels, size, stride, 6.0),
        mirrored_maps(target, _FLIP_INDEX),
        atol=1e-5,
    )
    heat, depth = (torch.randn(3, 19, *size, generator=generator) for _ in range(2))
    bones = torch.randn(3, len(EDGES), 3, *size, generator=generator)
    turned = bones[:, _EDGES].flip(-1) * _SIGN[:, None, None]
    for logits in (True, False):
        maps = FcnOutput(heat, depth, bones.flatten(1, 2), logits)
        mirror = FcnOutput(
            mirrored_maps(heat, _FLIP_INDEX),
            mirrored_maps(depth, _FLIP_INDEX),
            turned.flatten(1, 2),
            logits,
        )
        one, two = fcn_loss(maps, batch, stride, 6.0), fcn_loss(mirror, other, stride, 6.0)
        for part in ("heat", "position", "depth", "displacement", "total"):
            assert torch.allclose(getattr(one, part), getattr(two, part), rtol=1e-4), part


def test_tree_scores_are_flip_invariant() -> None:
    data = ambiguous(8, 0)
    flat = torch.randn(19 + 108, generator=torch.Generator().manual_seed(0))
    weights = TreeWeights.of(flat)
    odd = torch.tensor([-1.0, 1.0, 1.0, 1.0, 1.0, 1.0])  # dx alone changes its sign
    turned = TreeWeights(weights.unary[_FLIP_INDEX], weights.gamma[_EDGES] * odd)
    mirror = replace(
        data,
        features=data.features[:, _FLIP_INDEX],
        points=data.points[:, _FLIP_INDEX] * _SIGN,
        anchors=data.anchors[:, _EDGES] * _SIGN,
    )
    score, choice = max_sum(*tree_terms(data, weights), EDGES)
    other_score, other_choice = max_sum(*tree_terms(mirror, turned), EDGES)
    assert torch.allclose(score, other_score, atol=1e-4)
    assert torch.equal(choice[:, _FLIP_INDEX], other_choice)


def test_detector_flip_keeps_people_at_their_depth(tmp_path: Path) -> None:
    shard = figures(1)
    view = np.zeros((1, *shards.CANVAS), np.uint16)
    view[0, :64, :80] = 4000
    view[0, 30:34, 55:60] = 2000  # round the projection of the spine below
    spine = np.zeros((1, shards.MAX_PEOPLE, 19, 3), np.float32)
    spine[:, 0] = (0.32, 0.0, 2.0)
    visible = np.zeros((1, shards.MAX_PEOPLE, 19), np.uint8)
    visible[:, 0] = 1
    camera = np.array([[110, 110, 39.5, 31.5, 80, 64]], np.float32)
    shards.write(
        tmp_path / "shard_00000.npz",
        replace(shard, view_depth=view, view_camera=camera, view_joints=spine,
                view_visible=visible, view_people=np.ones(1, np.uint8)),
    )  # fmt: skip
    data, sides = FrameSet(tmp_path), set()
    for seed in range(8):
        batch = data.batch(np.array([0]), 16, np.random.default_rng(seed))
        u, v, _ = (float(c) for c in batch.centre[0, 0])
        assert float(batch.depth[0, round(v), round(u)]) == 2.0
        sides.add(u > 40)
    assert sides == {True, False}
