"""Training data of step 3: features and positions of the proposals of crops (Eqn. 3 and 4)."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.models.proposals import Proposals
from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.engine.loader import to_device
from depth_pose_training.learning.boxes import consistent


@dataclass(frozen=True)
class TreeData:
    """Proposals of L crops, n per part, with their features.

    Attributes:
        features: (L, 19, n, D); the T match probabilities, then the log-heat if the configuration
            has it.  The mean over the proposals of a part is subtracted: it has no effect on the
            choice but costs precision.  Half precision after :func:`collect`.
        pixels: (L, 19, n, 2) float.
        points: (L, 19, n, 3) meters.
        anchors: (L, 18, n, 3) meters, origin of the child displacement of each edge.
        truth_pixels: (L, 19, 2).
        truth_joints: (L, 19, 3) meters.
        allowed: (L, 19, n) bool, proposals that agree with the true joint
            (:func:`depth_pose_training.learning.boxes.consistent`).
        supervised: (L, 19) bool, parts with a known joint and a proposal near it.
        weight: (L, 19), 0 for unknown joints.
    """

    features: Tensor
    pixels: Tensor
    points: Tensor
    anchors: Tensor
    truth_pixels: Tensor
    truth_joints: Tensor
    allowed: Tensor
    supervised: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, crops: slice | Tensor) -> "TreeData":
        """The data of some crops."""
        return TreeData(*(getattr(self, f.name)[crops] for f in fields(self)))

    def chunks(self, size: int) -> Iterator["TreeData"]:
        """The data in blocks of ``size`` crops."""
        return (self[i : i + size] for i in range(0, len(self), size))

    @staticmethod
    def join(parts: list["TreeData"]) -> "TreeData":
        """Concatenate the crops of several blocks."""
        return TreeData(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(TreeData)))


def thin(proposals: Proposals, window: int, stride: int) -> Proposals:
    """Every ``stride``-th row and column of the windows of proposals, including the center."""
    rows = torch.arange(window // 2 % stride, window, stride)
    index = (rows[:, None] * window + rows).flatten()
    pixels, points, measured, _ = proposals
    return Proposals(pixels[:, :, index], points[:, :, index], measured[:, :, index])


def tree_data(
    network: PoseNetwork, batch: Batch, output: FcnOutput, proposals: Proposals, logits: Tensor
) -> TreeData:
    """Training data of one batch, differentiable in the networks' outputs.

    Args:
        network: its w is not used.
        batch: B crops and their true joints.
        output: of the FCN.
        proposals: n per part.
        logits: (B, 19, n, T) of MatchNet.
    """
    features = logits.sigmoid()
    if network.heat_weight is not None:
        heat = network.heat_features(output, proposals)
        features = torch.cat((features, heat[..., None]), dim=-1)
    allowed, supervised = consistent(proposals.pixels, batch.pixels, batch.weight)
    return TreeData(
        features - features.mean(2, keepdim=True),
        proposals.pixels.float(),
        proposals.points,
        network.anchors(output, proposals),
        batch.pixels,
        batch.joints,
        allowed,
        supervised,
        batch.weight,
    )


@torch.no_grad()
def collect(
    network: PoseNetwork,
    data: CropDataset,
    indices: NDArray[np.int64],
    stride: int,
    rng: np.random.Generator | None = None,
    size: int = 8,
) -> TreeData:
    """Run FCN and MatchNet on crops and keep the data of step 3.

    Args:
        network: with trained FCN, MatchNet and joint depth offsets; its w is not used.
        data: crops.
        indices: of the crops.
        stride: see :func:`thin`; inference with 2 is about 12 times cheaper, and the scores have
            little structure at smaller distances.
        rng: for data augmentation; None for none.
        size: crops per batch.
    """
    network.eval()
    collected = []
    for part in tqdm(np.array_split(indices, -(-len(indices) // size)), unit="batch"):
        batch = to_device(data.batch(part, rng), network.gamma.device)
        output = network.fcn(batch.crops)
        proposals = network.propose(output, batch.crops, batch.frames)
        proposals = thin(proposals, network.config.window, stride)
        logits = network.matchnet(batch.crops, proposals.pixels)
        terms = to_device(tree_data(network, batch, output, proposals, logits), torch.device("cpu"))
        collected.append(replace(terms, features=terms.features.half()))
    return TreeData.join(collected)
