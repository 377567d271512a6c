"""End-to-end fine-tuning of FCN, MatchNet and w with a structured loss."""

from collections.abc import Sequence

from depth_pose_training.configs.cli import parse
from depth_pose_training.structured.finetune import FinetuneOptions, finetune


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    finetune(parse(FinetuneOptions, argv, "finetune"))
