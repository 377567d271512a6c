"""The requirements passed to pip."""

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

# Provided by a distribution's packages, whose compiled modules require its version of numpy.
_FROM_DISTRIBUTION = {"numpy": "numpy", "opencv-python-headless": "cv2", "pyyaml": "yaml"}


def pinned() -> list[str]:
    """pip's arguments if ROS is installed from PyPI."""
    return [a for name in ("ros", *_LISTS) for a in ("-r", str(FOLDER / f"{name}.txt"))]


def beside_distribution(python: str, env: dict[str, str], folder: Path) -> list[str]:
    """pip's arguments in an environment on top of a ROS distribution.

    Only PyTorch has a fixed version.  The others must be compatible with the distribution's
    packages; its numpy is not replaced.

    Args:
        python: the environment's interpreter.
        folder: where the requirements and constraints files are written.
    """
    installed = _versions(python, env)
    lines = [TORCH] if "torch" not in installed else []
    for name in _LISTS:
        for line in (FOLDER / f"{name}.txt").read_text().splitlines():
            package = re.match(r"[A-Za-z0-9_-]+", line)
            if package and package[0] != "torch" and package[0] not in installed:
                lines.append(package[0])
    requirements, constraints = folder / "requirements.txt", folder / "constraints.txt"
    requirements.write_text("\n".join(dict.fromkeys(lines)) + "\n")
    constraints.write_text(f"numpy=={installed['numpy']}\n" if "numpy" in installed else "")
    return ["-r", str(requirements), "-c", str(constraints)]


def _versions(python: str, env: dict[str, str]) -> dict[str, str]:
    """Versions of the distribution's packages that can be imported."""
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
