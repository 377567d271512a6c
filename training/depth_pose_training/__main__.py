"""``python -m depth_pose_training <step> ...``: runs one module of ``commands``.

With several processes: ``torchrun --nproc-per-node 2 -m depth_pose_training train_fcn ...``.
"""

import ast
import sys
from importlib import import_module
from pathlib import Path

from depth_pose_ros.core.models.config import ConfigError
from depth_pose_ros.core.weights import WeightsError
from depth_pose_training import commands
from depth_pose_training.errors import UserError


def steps() -> dict[str, str]:
    """Names of all steps and the first line of their docstrings, without importing them."""
    found = {}
    for path in sorted(Path(commands.__file__).parent.glob("[!_]*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        found[path.stem] = docstring.partition("\n")[0]
    return found


def main(argv: list[str] | None = None) -> None:
    """Console script ``depth-pose-training``."""
    given = sys.argv[1:] if argv is None else argv
    names = steps()
    step = given[0].replace("-", "_") if given else ""
    if step in names:
        try:
            sys.exit(import_module(f"depth_pose_training.commands.{step}").main(given[1:]))
        except (UserError, ConfigError, WeightsError, FileNotFoundError) as error:
            sys.exit(f"error: {error}")
    width = max(map(len, names))
    print("usage: python -m depth_pose_training <step> [options]   (<step> --help lists them)\n")
    print("\n".join(f"  {name:{width}}  {about}" for name, about in names.items()))
    if step and step not in ("__help", "_h", "help"):
        sys.exit(f"\nerror: there is no step {given[0]!r}")


if __name__ == "__main__":
    main()
