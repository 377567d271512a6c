"""Every knob of the synthetic generator, with its default; ``training/configs/synthetic.yaml``
documents them.

A YAML file names the config that differ from the defaults, in the same sections.
"""

import types
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from depth_pose_training.errors import UserError

Range = tuple[float, float]
#: The most people that a scene can have.
MAX_PEOPLE = 4


class GeneratorConfigError(UserError):
    """A knob that does not exist, or a value that it cannot have."""


@dataclass(frozen=True)
class People:
    """Who is in a scene; see ``synthetic.yaml`` for all fields of this and the other sections."""

    number: tuple[float, ...] = (0.08, 0.50, 0.26, 0.11, 0.05)
    mocap: float = 0.5
    modes: dict[str, float] = field(
        default_factory=lambda: {
            "standing": 0.30, "sitting": 0.24, "crouching": 0.12, "kneeling": 0.07,
            "lunging": 0.07, "kicking": 0.06, "bending": 0.08, "lying": 0.06,
        }
    )  # fmt: skip
    stature: Range = (1.28, 2.05)


@dataclass(frozen=True)
class Clothes:
    """What is worn over the body."""

    chance: float = 0.75
    thickness: Range = (0.0, 0.035)
    folds: float = 0.5
    skirt: float = 0.08
    hair: float = 0.85
    hair_thickness: Range = (0.005, 0.05)


@dataclass(frozen=True)
class Things:
    """What people hold, carry, and what stands before them."""

    held: float = 0.08
    both_hands: float = 0.1
    backpack: float = 0.05
    occluder: float = 0.2
    table: float = 0.2


@dataclass(frozen=True)
class Room:
    """Walls and furniture."""

    floor: float = 0.95
    back_wall: float = 0.85
    side_wall: float = 0.5
    ceiling: float = 0.4
    pieces: float = 2.5
    seat: float = 0.95
    bed: float = 0.4


@dataclass(frozen=True)
class Cameras:
    """Where the cameras stand and how they are turned."""

    views: int = 2
    sensors: dict[str, float] = field(
        default_factory=lambda: {
            "kinect_v2": 0.4, "azure_nfov": 0.15, "kinect_v1": 0.2, "kinect_v1_vga": 0.1,
            "realsense": 0.15,
        }
    )  # fmt: skip
    height: Range = (0.3, 2.2)
    distance: Range = (1.5, 5.0)
    near: float = 0.15
    near_distance: Range = (0.9, 1.5)
    aimed: float = 0.65
    aim_sigma: float = 0.16
    level_sigma: float = 0.1
    pitch: Range = (-0.9, 0.6)
    roll_sigma: float = 0.03


@dataclass(frozen=True)
class Noise:
    """How sensors measure."""

    strength: Range = (0.3, 1.6)
    edge_dropout: Range = (0.05, 0.6)
    grazing_dropout: Range = (0.0, 0.7)
    blotches: float = 0.4
    blotch_share: Range = (0.002, 0.05)
    speckle: tuple[float, ...] = (0.0, 0.002, 0.02)
    flying: float = 0.35
    multipath: float = 0.5
    multipath_albedo: Range = (0.05, 0.4)
    shadow: float = 0.6
    median: float = 0.2


@dataclass(frozen=True)
class Crops:
    """How the crop lies around a person, and how often the background is removed."""

    sideways: float = 0.13
    nearer: float = 0.1
    depth_sigma: float = 0.06
    removed: float = 0.22
    frame_removed: float = 0.15


@dataclass(frozen=True)
class GeneratorConfig:
    """All sections."""

    people: People = field(default_factory=People)
    clothes: Clothes = field(default_factory=Clothes)
    things: Things = field(default_factory=Things)
    room: Room = field(default_factory=Room)
    cameras: Cameras = field(default_factory=Cameras)
    noise: Noise = field(default_factory=Noise)
    crops: Crops = field(default_factory=Crops)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and names, as YAML and JSON write them."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


#: Numbers that are shares or chances: within 0 and 1.
_CHANCES = {
    "mocap", "chance", "skirt", "hair", "held", "both_hands", "backpack", "occluder", "table",
    "floor", "back_wall", "side_wall", "ceiling", "seat", "bed", "near", "aimed", "blotches",
    "flying", "multipath", "shadow", "median", "removed", "frame_removed", "edge_dropout",
    "grazing_dropout", "blotch_share", "speckle", "multipath_albedo", "number", "modes", "sensors",
    "folds",
}  # fmt: skip
#: Chances of alternatives: they sum to 1.
_ALTERNATIVES = {"number", "modes", "sensors"}
#: The only config that may be negative.
_SIGNED = {"pitch"}
_COUNTS = {"views"}


def load(path: Path) -> GeneratorConfig:
    """Read a YAML file of config; what it does not name keeps its default.

    Raises:
        GeneratorConfigError: the file is no YAML mapping, names a knob that does not exist, or gives one a
            value that it cannot have; says which.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise GeneratorConfigError(f"{path} is not YAML: {error}") from error
    return parse({} if content is None else content, str(path))


def parse(content: object, source: str = "config") -> GeneratorConfig:
    """GeneratorConfig from nested mappings, as :func:`load` does."""
    made: GeneratorConfig = _section(GeneratorConfig, content, source)
    return made


def _section(kind: type, content: object, where: str) -> Any:
    if not isinstance(content, dict):
        raise GeneratorConfigError(f"{where}: expected a mapping of config, got {content!r}")
    hints = get_type_hints(kind)
    unknown = [str(k) for k in content if k not in hints]
    if unknown:
        raise GeneratorConfigError(
            f"{where}: no knob {', '.join(unknown)}; there are {', '.join(hints)}"
        )
    return kind(
        **{
            name: _section(hints[name], value, f"{where}: {name}")
            if is_dataclass(hints[name])
            else _value(name, hints[name], value, kind, f"{where}: {name}")
            for name, value in content.items()
        }
    )


def _value(name: str, hint: Any, value: object, kind: type, where: str) -> Any:
    made: Any
    if get_origin(hint) is dict:
        default = next(f for f in fields(kind) if f.name == name).default_factory
        assert not isinstance(default, types.NoneType) and callable(default)
        known = default()
        if not isinstance(value, dict) or not set(value) <= set(known):
            raise GeneratorConfigError(
                f"{where}: expected shares of {', '.join(known)}, got {value!r}"
            )
        made = {k: _number(name, v, where) for k, v in value.items()}
        numbers = list(made.values())
    elif get_origin(hint) is tuple:
        pair = get_args(hint)[-1] is not Ellipsis
        if not isinstance(value, (list, tuple)) or not value or (pair and len(value) != 2):
            wanted = "[least, most]" if pair else "a list of numbers"
            raise GeneratorConfigError(f"{where}: expected {wanted}, got {value!r}")
        made = tuple(_number(name, v, where) for v in value)
        numbers = list(made)
        if pair and numbers[0] > numbers[1]:
            raise GeneratorConfigError(f"{where}: expected [least, most], got {value!r}")
    else:
        made = _number(name, value, where)
        if name in _COUNTS:
            if made != int(made) or made < 1:
                raise GeneratorConfigError(
                    f"{where}: expected a whole number of at least 1, got {value!r}"
                )
            made = int(made)
        return made
    if name == "number" and len(numbers) > MAX_PEOPLE + 1:
        raise GeneratorConfigError(
            f"{where}: chances of at most {MAX_PEOPLE} people, got {value!r}"
        )
    if name in _ALTERNATIVES and abs(sum(numbers) - 1) > 1e-6:
        raise GeneratorConfigError(
            f"{where}: the shares must sum to 1, they sum to {sum(numbers):g}"
        )
    return made


def _number(name: str, value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise GeneratorConfigError(f"{where}: expected a number, got {value!r}")
    if name in _CHANCES and not 0 <= value <= 1:
        raise GeneratorConfigError(f"{where}: expected a number from 0 to 1, got {value!r}")
    if name not in _SIGNED and value < 0:
        raise GeneratorConfigError(f"{where}: expected no negative number, got {value!r}")
    return float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
