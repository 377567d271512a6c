"""Algorithm 1: FCN, proposals, templates, MatchNet and latent structural SVM, in rounds."""

import sys
from collections.abc import Sequence

from depth_pose_training.configs.cli import config_file, parse
from depth_pose_training.structured.algorithm1 import Algorithm1Options, algorithm1


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    given = sys.argv[1:] if argv is None else argv
    file, _ = config_file(given)
    algorithm1(parse(Algorithm1Options, given, "algorithm1"), file)
