"""Render the built-in clip of the demo: two people in a furnished room."""

from collections.abc import Sequence

from depth_pose_training.configs.cli import parse
from depth_pose_training.data.synthetic.demo_clip import DemoClipOptions, render_demo_clip


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    render_demo_clip(parse(DemoClipOptions, argv, "render_demo_clip"))
