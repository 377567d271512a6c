"""Selects the Python of the environment: the sourced distribution's, or a supported one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

OLDEST, NEWEST = (3, 10), (3, 12)  # supported by PyPI's ROS wheels
RANGE = "3.10 to 3.12"


class SetupError(Exception):
    """Setup failed; the message says why and how to correct it."""


class Base(NamedTuple):
    """The Python that the environment is created from.

    Attributes:
        python: path of the interpreter.
        version: such as "3.11".
        distribution: ROS_DISTRO if one is sourced; else None, and ROS is installed from PyPI.
    """

    python: str
    version: str
    distribution: str | None


def find_base(present: Path | None) -> Base:
    """Find a supported Python.

    Args:
        present: the interpreter of an existing environment, preferred if supported.

    Raises:
        SetupError: no supported Python, or no ROS on PyPI for this platform.
    """
    distribution = os.environ.get("ROS_DISTRO") if "AMENT_PREFIX_PATH" in os.environ else None
    if distribution:
        return _of_distribution(distribution)
    if not (sys.platform == "linux" and platform.machine() == "x86_64"):
        raise SetupError(
            f"PyPI has ROS 2 for Linux on x86-64 only, not for {sys.platform} on "
            f"{platform.machine()}: install a ROS 2 distribution and source its setup file"
        )
    wanted = os.environ.get("PYTHON")
    names = [wanted] if wanted else ["python3", "python3.12", "python3.11", "python3.10"]
    if present and not wanted:
        names.insert(0, str(present))
    seen = []
    for name in names:
        found = _probe(name)
        if found and OLDEST <= _numbers(found[1]) <= NEWEST:
            return Base(found[0], found[1], None)
        seen.append(f"{name} is {found[1]}" if found else f"no {name}")
    raise SetupError(
        f"Python {RANGE} is required, found: {', '.join(seen)}.  Install one, and name it if it is "
        "not on the PATH: make setup PYTHON=/path/to/python3.12"
    )


def _of_distribution(distribution: str) -> Base:
    names = (os.environ.get("PYTHON"), "python3", "/usr/bin/python3")
    for name in names:
        found = _probe(name, "import rclpy") if name else None
        if found:
            return Base(found[0], found[1], distribution)
    raise SetupError(
        f"ROS_DISTRO={distribution} is sourced, but python3 cannot import its rclpy.  Is another "
        "Python environment active?  To use ROS from PyPI instead, open a shell without the "
        "distribution's setup file"
    )


def _probe(name: str, statement: str = "") -> tuple[str, str] | None:
    """Path and version of an interpreter outside any venv, or None if it fails."""
    code = (
        f"{statement}\nimport sys\n"
        "print(getattr(sys, '_base_executable', sys.executable))\n"
        "print('%d.%d' % sys.version_info[:2])"
    )
    try:
        result = subprocess.run([name, "-c", code], capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    path, version = result.stdout.split("\n")[:2]
    return path, version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
