"""What pip is asked to install."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from steps import ROOT

FOLDER = ROOT / "requirements"
TORCH = next(
    line for line in (FOLDER / "run.txt").read_text().splitlines() if line.startswith("torch==")
)
_LISTS = ("run", "fast", "dev", "training")

# What a distribution brings by its own packages; its compiled modules fit its own numpy only.
_FROM_DISTRIBUTION = {"numpy": "numpy", "opencv-python-headless": "cv2", "pyyaml": "yaml"}


def pinned() -> list[str]:
    """pip's arguments where ROS comes from PyPI."""
    return [a for name in ("ros", *_LISTS) for a in ("-r", str(FOLDER / f"{name}.txt"))]


def beside_distribution(python: str, env: dict[str, str], folder: Path) -> list[str]:
    """pip's arguments in an environment on top of a distribution.

    Only PyTorch keeps its version: the others must fit what the distribution has, above all its
    numpy, which stays as it is.

    Args:
        python: the environment's interpreter.
        folder: where the lists that pip reads are written.
    """
    have = _versions(python, env)
    lines = [TORCH] if "torch" not in have else []
    for name in _LISTS:
        for line in (FOLDER / f"{name}.txt").read_text().splitlines():
            package = re.match(r"[A-Za-z0-9_-]+", line)
            if package and package[0] != "torch" and package[0] not in have:
                lines.append(package[0])
    wanted, limits = folder / "requirements.txt", folder / "constraints.txt"
    wanted.write_text("\n".join(dict.fromkeys(lines)) + "\n")
    limits.write_text(f"numpy=={have['numpy']}\n" if "numpy" in have else "")
    return ["-r", str(wanted), "-c", str(limits)]


def _versions(python: str, env: dict[str, str]) -> dict[str, str]:
    """Versions of those of the distribution's packages that can be imported."""
    modules = {**_FROM_DISTRIBUTION, "torch": "torch"}
    code = f"""
import importlib, json
found = {{}}
for name, module in {modules!r}.items():
    try:
        found[name] = importlib.import_module(module).__version__.split("+")[0]
    except ImportError:
        pass
print(json.dumps(found))
"""
    result = subprocess.run(
        [python, "-c", code], env=env, check=True, capture_output=True, text=True
    )
    return dict(json.loads(result.stdout))
