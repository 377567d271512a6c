"""Builds the underlay's tf2_msgs with rosidl from PyPI and installs it into the environment."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from pythons import SetupError
from steps import ROOT, fingerprint, is_stamped, run

_SOURCE = ROOT / "underlay" / "tf2_msgs"
_BUILD = ROOT / "build" / "tf2_msgs"


def build_tf2_msgs(venv: Path, env: dict[str, str]) -> None:
    """Build and install tf2_msgs if its sources have changed.

    Raises:
        SetupError: the C compiler or the Python headers are missing, or the build failed.
    """
    stamp = venv / "share" / "tf2_msgs" / ".generated_from"
    sources = [p for p in _SOURCE.rglob("*") if p.is_file()]
    value = fingerprint([*sources, ROOT / "requirements" / "ros.txt"])
    if is_stamped(stamp, value):
        return
    python = str(venv / "bin" / "python")
    _check_tools(python, env)
    shutil.rmtree(_BUILD, ignore_errors=True)
    cmake = str(venv / "bin" / "cmake")
    env = {
        **env,
        "AMENT_PREFIX_PATH": str(venv),
        "CMAKE_PREFIX_PATH": str(venv),
        "LD_LIBRARY_PATH": str(venv / "lib"),
        "PATH": f"{venv / 'bin'}:{env['PATH']}",
    }
    configure = [
        *(cmake, "-S", str(_SOURCE), "-B", str(_BUILD), "-G", "Unix Makefiles"),
        *(f"-DCMAKE_INSTALL_PREFIX={venv}", f"-DPython3_EXECUTABLE={python}"),
        *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF"),
    ]
    run("configure tf2_msgs", configure, env)
    run("generate tf2_msgs", [cmake, "--build", str(_BUILD), "--parallel", "2"], env)
    run("install tf2_msgs", [cmake, "--install", str(_BUILD)], env)
    stamp.write_text(value)


def _check_tools(python: str, env: dict[str, str]) -> None:
    code = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.run(
        [python, "-c", code], env=env, check=True, capture_output=True, text=True
    ).stdout.strip()
    missing = [tool for tool in ("make", "cc", "c++") if not shutil.which(tool)]
    if not (Path(include) / "Python.h").is_file():
        missing.append(f"{include}/Python.h")
    if missing:
        raise SetupError(
            f"building tf2_msgs requires {', '.join(missing)}, which are missing.  "
            "On Debian and Ubuntu: sudo apt install build-essential python3-dev"
        )
