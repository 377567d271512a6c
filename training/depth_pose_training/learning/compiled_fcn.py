"""A compiled FCN for evaluation, and for what learns from an FCN that stays as it is."""

import torch
from torch import Tensor, nn

from depth_pose_ros.core.backends.openvino_models import CompiledModel, fcn_output
from depth_pose_ros.core.models.fcn import FcnOutput


class CompiledFcn(nn.Module):
    """A compiled FCN in place of a network's own, crop by crop."""

    def __init__(self, program: CompiledModel, like: nn.Module) -> None:
        super().__init__()
        self._program = program
        self.stride, self.logits = int(like.stride), bool(like.logits)  # type: ignore[arg-type]
        self._displacement = getattr(like, "displacement", None) is not None

    def forward(self, crops: Tensor) -> FcnOutput:
        """(B, 1, H, W) -> maps."""
        rows = [[m.clone() for m in self._program(crop[None].numpy())] for crop in crops]
        maps = [torch.cat(parts) for parts in zip(*rows, strict=True)]
        return fcn_output(maps, self._displacement, self.logits)
