"""What test_engine runs under torchrun and by itself: a few steps of an FCN and of MatchNet."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from torch import Tensor, nn

from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_ros.core.skeleton import EDGES, NUM_JOINTS
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine import loop
from depth_pose_training.engine.checkpoints import Files
from depth_pose_training.engine.distributed import join
from depth_pose_training.engine.loop import LoopConfig
from depth_pose_training.engine.optimizers import OptimizerConfig
from depth_pose_training.engine.tensorboard import TensorBoardLogger
from depth_pose_training.learning import train_fcn, train_matchnet
from training_helpers.stick_figures import TINY, MeanFcn

BATCH = 4


class PlainFcn(nn.Module):
    """A small FCN of the compact kind without batch normalization."""

    stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 5, stride=4, padding=2)
        self.maps = nn.Conv2d(6, 2 * NUM_JOINTS + 3 * len(EDGES), 3, padding=1)

    def forward(self, x: Tensor) -> FcnOutput:
        """(B, 1, H, W) -> maps of stride 4."""
        maps = self.maps(self.stem(x).relu())
        heat, depth, displacement = maps.split((NUM_JOINTS, NUM_JOINTS, 3 * len(EDGES)), dim=1)
        return FcnOutput(heat, depth, displacement, logits=True)


def run(data: Path, out: Path) -> None:
    """Train both; process 0 leaves fcn.pt and matchnet.pt in ``out``."""
    distributed = join("cpu")
    crops = CropDataset(data)
    plan = LoopConfig(steps=4, every=2, rate=0.01)
    torch.manual_seed(distributed.rank)  # process 0's weights count
    fcn = PlainFcn()
    logger = TensorBoardLogger(None)
    task = train_fcn.make_task(
        fcn, OptimizerConfig("sgd", 0.01, BATCH), crops, 5.0, distributed, plan
    )  # type: ignore[arg-type]
    stream = CropLoader(crops, BATCH, 0, distributed)
    loop.fit(task, stream, plan, Files(out / "fcn.pt", out / "fcn.jsonl"), distributed, logger)

    network = PoseNetwork(TINY)
    network.fcn = MeanFcn()  # type: ignore[assignment]
    settings = train_matchnet.Settings("sgd", 0.01, BATCH)
    train_matchnet.train(
        network, stream, crops, settings, plan, out, seed=0, limit=4, distributed=distributed
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), Path(sys.argv[2]))
