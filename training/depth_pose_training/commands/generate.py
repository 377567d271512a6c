"""Render a set of synthetic images."""

from collections.abc import Sequence

from depth_pose_training.configs.cli import parse
from depth_pose_training.data.synthetic.generate import GenerateOptions, generate


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    generate(parse(GenerateOptions, argv, "generate"))
