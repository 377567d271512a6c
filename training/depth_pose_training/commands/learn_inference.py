"""Step 3 of Algorithm 1: learn the weights of the unary and pairwise terms."""

import json
from collections.abc import Sequence

from depth_pose_training.configs.cli import parse
from depth_pose_training.structured.learn_inference import LearnInferenceOptions, learn_inference


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse(LearnInferenceOptions, argv, "learn_inference")
    print(json.dumps(learn_inference(options), indent=1))
