"""Options of every step: defaults, then a YAML file, then the command line; kept with the results.

A file has a section per step, named as its module, with the options' names as keys:

    train_fcn:
      data: [data/train, data/real]
      rate: 3e-3
    joint_depth_offset: {crops: 2000}

``options.yaml``, which every step writes beside its results, is such a file.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from depth_pose_training.engine.checkpoints import write_text
from depth_pose_training.errors import UserError

#: The steps that a file may have sections for.
STEPS = (
    "train_fcn",
    "average_models",
    "train_detector",
    "mine_negatives",
    "joint_depth_offset",
    "templates",
    "train_matchnet",
    "train_person_classifier",
    "learn_inference",
    "finetune",
    "algorithm1",
    "export_weights",
    "import_weights",
    "compare",
)
FILE = "options.yaml"
_NOT_OPTIONS = ("help", "config_file")
_KINDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    Path: "a path",
    str: "text",
    None: "text",
}


class OptionsError(UserError):
    """A YAML file of options is malformed, or does not fit the step."""


def parse(
    parser: argparse.ArgumentParser, step: str, argv: Sequence[str] | None
) -> argparse.Namespace:
    """A step's options.  Ends the process with one line where something is wrong.

    Args:
        parser: with the step's arguments; ``--config-file`` is added.
        step: the section's name, one of :data:`STEPS`.
        argv: as of ``argparse``.
    """
    parser.add_argument(
        "--config-file",
        type=Path,
        help=f"YAML with the section {step!r}; the command line has the last word",
    )
    path = file_of(argv)
    if path is not None:
        try:
            apply(parser, read(path), step)
        except OptionsError as error:
            parser.error(f"{path}: {error}")
    args = parser.parse_args(argv)
    del args.config_file
    return args


def file_of(argv: Sequence[str] | None) -> Path | None:
    """The file that a command line names."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config-file", type=Path)
    path: Path | None = first.parse_known_args(argv)[0].config_file
    return path


def read(path: Path) -> dict[str, dict[str, Any]]:
    """A file's sections.

    Raises:
        OptionsError: it cannot be read, is no YAML, or has something else than sections.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise OptionsError(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionsError("not YAML: " + " ".join(str(error).split())) from error
    if not isinstance(data, dict):
        raise OptionsError(f"must hold sections named {', '.join(STEPS)}")
    for name, section in data.items():
        if name not in STEPS:
            raise OptionsError(f"unknown section {name!r} (known: {', '.join(STEPS)})")
        if section is not None and not isinstance(section, dict):
            raise OptionsError(f"section {name!r} must hold options, like 'steps: 100'")
    return {name: section or {} for name, section in data.items()}


def apply(parser: argparse.ArgumentParser, sections: dict[str, Any], step: str) -> None:
    """Make a step's section the parser's defaults.

    Raises:
        OptionsError: an unknown option, or a value of the wrong type.
    """
    known = {a.dest: a for a in parser._actions if a.dest not in _NOT_OPTIONS}
    for key, value in sections.get(step, {}).items():
        action = known.get(str(key).replace("-", "_"))
        if action is None:
            names = ", ".join(sorted(known))
            raise OptionsError(f"unknown option {key!r} in section {step!r} (known: {names})")
        try:
            action.default = _value(action, value)
        except (TypeError, ValueError) as error:
            raise OptionsError(f"{step}.{key} must be {error}, got {value!r}") from error
        action.required = False


def save(folder: Path, step: str, args: argparse.Namespace) -> None:
    """Write the resolved options into ``options.yaml``, in the step's section."""
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        sections = read(path) if path.exists() else {}
    except OptionsError as error:
        raise OptionsError(f"{path}: {error}") from error
    sections[step] = {k: _plain(v) for k, v in sorted(vars(args).items()) if v is not None}
    write_text(path, yaml.safe_dump(sections, sort_keys=False))


def _value(action: argparse.Action, value: Any) -> Any:
    """A YAML value as the action would have parsed it; the error says what it must be."""
    if isinstance(action, argparse._StoreTrueAction):
        if not isinstance(value, bool):
            raise TypeError("true or false")
        return value
    if action.nargs in ("+", "*"):
        items = value if isinstance(value, list) else [value]
        if not items and action.nargs == "+":
            raise TypeError("a list of at least one")
        return [_scalar(action, item) for item in items]
    return _scalar(action, value)


def _scalar(action: argparse.Action, value: Any) -> Any:
    kind = action.type
    wanted = _KINDS.get(kind, "a value")
    if kind is int:
        right = isinstance(value, int) and not isinstance(value, bool)
    elif kind is float:
        # YAML 1.1 takes 1e-3, without a point, for text.
        right = isinstance(value, int | float | str) and not isinstance(value, bool)
    else:
        right = isinstance(value, str)
    if not right:
        raise TypeError(wanted)
    try:
        made = kind(value) if callable(kind) else value
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise ValueError(wanted) from error
    if action.choices is not None and made not in action.choices:
        raise ValueError("one of " + ", ".join(str(c) for c in action.choices))
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
