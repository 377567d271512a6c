"""Every training command that a page shows is one that the package takes, under torchrun, too."""

import argparse
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonargparse
import pytest
from torch.distributed.run import get_args_parser

from depth_pose_training.configs.cli import OptionsError

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(p for d in ("docs", "models", "training") for p in sorted((ROOT / d).glob("*.md"))),
    *sorted((ROOT / "training" / "experiments").glob("*.sh")),
]
PACKAGE = "-m depth_pose_training "
TORCHRUN = ".venv/bin/torchrun "


class Taken(Exception):
    """The command line was understood; nothing of the step has run."""


def commands(page: str) -> Iterator[str]:
    """The page's commands in blocks and within text, with shell variables replaced."""
    page = re.sub(r"\\\n\s*", " ", page)
    variables = dict(re.findall(r"\b([A-Z])=\"?([^\";\n`]+)\"?", page))
    blocks = re.findall(r"^(?:    |\$P |OMP|\.venv).*$", page, re.MULTILINE)
    for text in [*blocks, *re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page, flags=re.S))]:
        if PACKAGE in text or TORCHRUN in text:
            yield re.sub(
                r"\$([A-Z])\b", lambda m: variables.get(m[1], m[0]), " ".join(text.split())
            )


def shown() -> list[str]:
    found = {command for page in PAGES for command in commands(page.read_text())}
    return sorted(command for command in found if " --" in command)


def test_the_pages_show_commands():
    assert len(shown()) > 40
    assert sum(TORCHRUN in command for command in shown()) >= 2
    assert not [command for command in shown() if re.search(r"\$[A-OQ-Z]\b", command)]


def of_torchrun(words: list[str]) -> tuple[str, list[str]]:
    """The module and the arguments that torchrun would start."""
    args = get_args_parser().parse_args(words)
    assert args.module
    return args.training_script, args.training_script_args


@pytest.mark.parametrize("command", shown())
def test_a_documented_command_is_taken(command: str, monkeypatch: pytest.MonkeyPatch):
    if TORCHRUN in command:
        module, words = of_torchrun(shlex.split(command.split(TORCHRUN)[1], comments=True))
    else:
        words = shlex.split(command.split(PACKAGE, 1)[1], comments=True)
        module = "depth_pose_training"
    assert module == "depth_pose_training"
    step = importlib.import_module(f"depth_pose_training.commands.{words[0]}")
    words = words[1:]
    if "..." in words:  # an excerpt: other options are left out
        return

    monkeypatch.chdir(ROOT)
    for parser in (argparse.ArgumentParser, jsonargparse.ArgumentParser):
        monkeypatch.setattr(parser, "parse_args", _parse_then_stop(parser.parse_args))
    with pytest.raises(Taken):
        step.main(words)


def _parse_then_stop(parse: Callable[..., object]) -> Callable[..., None]:
    def parse_args(*args: object) -> None:
        parse(*args)
        raise Taken

    return parse_args


def test_a_wrong_command_is_noticed(monkeypatch: pytest.MonkeyPatch):
    for command in ("templates --ran x", "compare --ran x"):
        with pytest.raises((SystemExit, OptionsError)):
            test_a_documented_command_is_taken(f"$P {PACKAGE}{command}", monkeypatch)
