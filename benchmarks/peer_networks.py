"""The paper's baselines: architectures as in their papers, with random weights, to measure times.

Inputs are single depth images.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depth_pose_ros.core.skeleton import EDGES, NUM_JOINTS


class AlexPose(nn.Module):
    """One stage of DeepPose (Toshev and Szegedy, 2014): AlexNet's layers, ending in positions."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 96, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Flatten(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, outputs),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 220, 220) -> (B, outputs)."""
        return self.layers(images)


class DeepPose(nn.Module):
    """DeepPose: an initial estimate, then two stages on each joint's surroundings."""

    def __init__(self) -> None:
        super().__init__()
        self.first = AlexPose(2 * NUM_JOINTS)
        self.stages = nn.ModuleList(AlexPose(2) for _ in range(2))

    def forward(self, image: Tensor) -> Tensor:
        """(1, 1, 220, 220) -> (19, 2)."""
        joints = self.first(image).view(NUM_JOINTS, 2)
        for stage in self.stages:  # without the cropping, which takes little time
            joints = joints + stage(image.expand(NUM_JOINTS, -1, -1, -1))
        return joints


class Tompson(nn.Module):
    """Coarse heat maps at three scales and their refinement (Tompson et al., 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.banks = nn.ModuleList(self._bank() for _ in range(3))
        self.join = nn.Sequential(
            nn.Conv2d(3 * 128, 512, 9, padding=4), nn.ReLU(),
            nn.Conv2d(512, 256, 1), nn.ReLU(), nn.Conv2d(256, NUM_JOINTS, 1),
        )  # fmt: skip
        self.fine = nn.Sequential(
            nn.Conv2d(128, 128, 5, padding=2), nn.ReLU(),
            nn.Conv2d(128, 128, 5, padding=2), nn.ReLU(),
            nn.Conv2d(128, 256, 1), nn.ReLU(), nn.Conv2d(256, 1, 1),
        )  # fmt: skip

    @staticmethod
    def _bank() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, 128, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(128, 128, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(128, 128, 5, padding=2), nn.ReLU(),
            nn.Conv2d(128, 128, 5, padding=2), nn.ReLU(),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        """(1, 1, 256, 256) -> heat maps around each joint (19, 1, 36, 36)."""
        scales = [bank(F.avg_pool2d(image, 2**i)) for i, bank in enumerate(self.banks)]
        size = list(scales[0].shape[-2:])
        coarse = self.join(torch.cat([F.interpolate(s, size) for s in scales], dim=1))
        near = scales[0][..., :36, :36].expand(NUM_JOINTS, -1, -1, -1)
        return self.fine(near) + coarse.mean()


class ChenYuille(nn.Module):
    """Parts and relations from image patches, and a tree of types (Chen and Yuille, 2014).

    A patch classifier run over the image at three scales, then max-product over positions and
    13 types of every relation with quadratic deformations.
    """

    types = 13

    def __init__(self) -> None:
        super().__init__()
        classes = 1 + NUM_JOINTS + 2 * len(EDGES) * self.types
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(),
            nn.Conv2d(128, 4096, 8), nn.ReLU(), nn.Conv2d(4096, 4096, 1), nn.ReLU(),
            nn.Conv2d(4096, classes, 1),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        """(1, 1, 216, 176) -> the root's best score at each scale (3,)."""
        best = []
        for size in ((216, 176), (152, 124), (108, 88)):
            score = self.layers(F.interpolate(image, size)).log_softmax(1)[0]
            best.append(self._tree(score[: NUM_JOINTS + 1]).amax())
        return torch.stack(best)

    def _tree(self, unary: Tensor) -> Tensor:
        rows, columns = unary.shape[-2:]
        down = -((torch.arange(rows)[:, None] - torch.arange(rows)) ** 2) / 50
        across = -((torch.arange(columns)[:, None] - torch.arange(columns)) ** 2) / 50
        belief = list(unary[1:].unbind(0))
        for edge in reversed(EDGES):
            messages = []
            for _ in range(self.types):
                child = (belief[edge.child][:, None] + across).amax(-1)
                messages.append((child.T[:, None] + down).amax(-1).T)
            belief[edge.parent] = belief[edge.parent] + torch.stack(messages).amax(0)
        return belief[EDGES[0].parent]


class A2J(nn.Module):
    """Anchors to joints (Xiong et al., 2019): ResNet-50 and three branches of five layers."""

    anchors = 16

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        self.common = nn.Sequential(
            _stage(64, 64, 3, 1, 1), _stage(256, 128, 4, 2, 1), _stage(512, 256, 6, 2, 1)
        )
        self.last = _stage(1024, 512, 3, 1, 2)  # dilated: stride 16 in all
        self.anchor = _branch(1024, self.anchors * NUM_JOINTS)
        self.offset = _branch(2048, self.anchors * NUM_JOINTS * 2)
        self.depth = _branch(2048, self.anchors * NUM_JOINTS)

    def forward(self, image: Tensor) -> Tensor:
        """(1, 1, 288, 288) -> (19, 3)."""
        common = self.common(self.stem(image.expand(-1, 3, -1, -1)))
        last = self.last(common)
        share = self.anchor(common).view(NUM_JOINTS, -1).softmax(-1)[..., None]
        offset = self.offset(last).view(NUM_JOINTS, -1, 2)
        depth = self.depth(last).view(NUM_JOINTS, -1, 1)
        return (share * torch.cat((offset, depth), dim=-1)).sum(1)


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != 4 * width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))


def _stage(inputs: int, width: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    first = _Bottleneck(inputs, width, stride, dilation)
    rest = [_Bottleneck(4 * width, width, 1, dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def _branch(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(4):
        layers += [
            nn.Conv2d(inputs if i == 0 else 256, 256, 3, padding=1),
            nn.BatchNorm2d(256),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(256, outputs, 3, padding=1))
