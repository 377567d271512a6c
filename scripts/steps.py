"""Runs the steps of the setup; prints the end of the log if a step fails."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from pythons import SetupError

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "build" / "setup.log"
_TAIL, _WIDTH = 25, 300


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def run(what: str, command: list[str], env: dict[str, str]) -> None:
    """Run a command with its output in the log.

    Raises:
        SetupError: the command failed; the message has the last lines of its output.
    """
    say(what)
    with LOG.open("ab") as log:
        log.write(f"\n$ {' '.join(command)}\n".encode())
        log.flush()
        start = log.tell()
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=env).returncode
    if code:
        lines = LOG.read_bytes()[start:].decode(errors="replace").splitlines()
        lines = [line for line in lines if not line.startswith("Requirement already satisfied")]
        tail = "\n".join(f"    {line[:_WIDTH]}" for line in lines[-_TAIL:])
        raise SetupError(f"{what}: failed with exit code {code}\n{tail}\n  (full log: {LOG})")


def fingerprint(paths: list[Path], *more: str) -> str:
    """Hash of the contents of files and of strings."""
    digest = hashlib.sha256("\n".join(more).encode())
    for path in sorted(paths):
        digest.update(f"\n{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def is_stamped(stamp: Path, value: str) -> bool:
    return stamp.is_file() and stamp.read_text() == value
