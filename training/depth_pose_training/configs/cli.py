"""Options of a step: a frozen dataclass, read from a YAML file and the command line.

A file has one section per step, named like the step, with the names of the fields as keys::

    train_fcn:
      data: [data/train, data/real]
      rate: 3e-3
    templates: {per_part: 2000}

Values on the command line replace those of the file.  :func:`save` writes such a file.
"""

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import MISSING, asdict, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser

from depth_pose_training.errors import UserError

FILE = "options.yaml"  #: written next to the results of a step
T = TypeVar("T")


class OptionsError(UserError):
    """An option is unknown or missing, or has a value of the wrong type."""


def option(description: str, default: Any = MISSING) -> Any:
    """A dataclass field with the text that ``--help`` shows; required without a default."""
    return field(default=default, kw_only=True, metadata={"help": description})


def parse(cls: type[T], argv: Sequence[str] | None, step: str) -> T:
    """The options of a step from the command line and the file given with ``--config``.

    Args:
        cls: a frozen dataclass whose fields are made by :func:`option`.  Supported types: bool
            (a flag), tuple[X, ...] (one or more values), and all types of jsonargparse.
        argv: the arguments; None for those of the process.
        step: name of the step and of its section in the file.

    Raises:
        OptionsError: with the file, section and key, or the option.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    path, given = config_file(given)
    values = section(cls, path, step) if path is not None else {}
    return _make(cls, step, values, given)


def build(cls: type[T], path: Path | None, step: str, **values: Any) -> T:
    """Options from the step's section of a file, without a command line.

    Args:
        cls, step: as in :func:`parse`.
        path: the file; None for none.
        values: fields that replace those of the file.

    Raises:
        OptionsError: as :func:`parse`.
    """
    known = section(cls, path, step) if path is not None else {}
    return _make(cls, step, {**known, **{k: _plain(v) for k, v in values.items()}}, [])


def config_file(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The file given with ``--config``, and the other arguments."""
    rest, path = list(argv), None
    for i, argument in enumerate(rest):
        name, equals, value = argument.partition("=")
        if name == "--config":
            if not equals and i + 1 == len(rest):
                raise OptionsError("--config needs a file")
            path = Path(value if equals else rest[i + 1])
            del rest[i : i + (1 if equals else 2)]
            break
    return path, rest


def section(cls: type, path: Path, step: str) -> dict[str, Any]:
    """The step's section of a file, checked."""
    values = read(path).get(step) or {}
    for f in fields(cls):
        if _is_list(get_type_hints(cls)[f.name]) and isinstance(
            values.get(f.name), str | int | float
        ):
            values[f.name] = [values[f.name]]
    try:
        _parser(cls, step, required=False).parse_object(deepcopy(values))
    except (ArgumentError, ArgumentTypeError, TypeError) as error:
        raise OptionsError(f"{path}, section {step!r}: {_one_line(error)}") from error
    return values


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The sections of a file.

    Raises:
        OptionsError: it cannot be read, is not YAML, or does not hold sections.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} is not YAML: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise OptionsError(f"{path} must hold one section per step")
    for name, values in data.items():
        if values is not None and not isinstance(values, dict):
            raise OptionsError(f"{path}, section {name!r}: expected options like 'steps: 100'")
    return data


def save(folder: Path, step: str, options: Any) -> None:
    """Write the options into the step's section of ``options.yaml``; other sections stay."""
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    sections = read(path) if path.exists() else {}
    sections[step] = {k: _plain(v) for k, v in sorted(asdict(options).items()) if v is not None}
    part = path.with_name(path.name + ".part")
    part.write_text(yaml.safe_dump(sections, sort_keys=False), encoding="utf-8")
    part.replace(path)


def _make(cls: type[T], step: str, values: dict[str, Any], argv: list[str]) -> T:
    parser = _parser(cls, step, required=True)
    try:
        made = parser.parse_args(["--config", json.dumps(values), *argv] if values else argv)
    except (ArgumentError, ArgumentTypeError) as error:
        raise OptionsError(f"{step}: {_one_line(error)}") from error
    found = {f.name: getattr(made, f.name) for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in found.items()})


def _parser(cls: type, step: str, required: bool) -> ArgumentParser:
    parser = ArgumentParser(
        prog=f"python -m depth_pose_training {step}",
        description=sys.modules[cls.__module__].__doc__,
        exit_on_error=False,
    )
    parser.add_argument(
        "--config", action=ActionConfigFile, help=f"YAML file with a section {step!r}"
    )
    types = get_type_hints(cls)
    for f in fields(cls):
        kind, name = types[f.name], "--" + f.name.replace("_", "-")
        about = {"help": f.metadata["help"]}
        if kind is bool:
            parser.add_argument(name, action="store_true", **about)
            continue
        if f.default is MISSING:
            about["required"] = required
        else:
            about["default"] = f.default if not isinstance(f.default, tuple) else list(f.default)
        if _is_list(kind):
            parser.add_argument(name, type=get_args(kind)[0], nargs="+", **about)
        else:
            parser.add_argument(name, type=kind, **about)
    return parser


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
