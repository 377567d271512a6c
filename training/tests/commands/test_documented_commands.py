"""Every training command that a page shows is one that the package takes, under torchrun, too."""

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(p for d in ("docs", "models", "training") for p in sorted((ROOT / d).glob("*.md"))),
]
PACKAGE = "-m depth_pose_training."
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
        words = shlex.split(command.split("-m ", 1)[1], comments=True)
        module, words = words[0], words[1:]
    step = importlib.import_module(module)
    if "..." in words:  # an excerpt: other options are left out
        return
    parse = argparse.ArgumentParser.parse_args

    def taken(self: argparse.ArgumentParser, *args: list[str]) -> None:
        parse(self, *args)
        raise Taken

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", taken)
    with pytest.raises(Taken):
        step.main(words)


def test_a_wrong_command_is_noticed(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit):
        test_a_documented_command_is_taken(f"$P {PACKAGE}surface --ran x", monkeypatch)
