"""Options of the synthetic generator with their defaults.

``training/configs/generator.yaml`` documents every option.  Values come from a YAML file and from
the command line; what they do not name keeps its default.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from numpy.typing import NDArray

from depth_pose_ros.core.crops import CropFrame, frame_around
from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.shards import MAX_PEOPLE
from depth_pose_training.errors import UserError

Range = tuple[float, float]


class GeneratorConfigError(UserError):
    """An option that does not exist, or a value out of range."""


@dataclass(frozen=True)
class _Section:
    """Checks the ranges of all fields.

    Numbers must not be negative, pairs must be ordered, probabilities must lie in [0, 1], and
    the probabilities of alternatives must sum to 1.
    """

    UNBOUNDED: ClassVar[frozenset[str]] = frozenset()  #: fields that may be greater than 1
    SIGNED: ClassVar[frozenset[str]] = frozenset()  #: fields that may be negative

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            numbers = list(value.values()) if isinstance(value, dict) else np.ravel(value).tolist()
            upper = np.inf if f.name in self.UNBOUNDED else 1.0
            lower = -np.inf if f.name in self.SIGNED else 0.0
            if not numbers or not all(lower <= v <= upper for v in numbers):
                raise self._error(f.name, f"numbers must be in [{lower:g}, {upper:g}]")
            if f.type == Range and value[0] > value[1]:
                raise self._error(f.name, "expected [minimum, maximum]")

    def _error(self, name: str, message: str) -> GeneratorConfigError:
        section = type(self).__name__.removesuffix("Config").lower()
        return GeneratorConfigError(f"{section}.{name}: {message}, got {getattr(self, name)!r}")

    def _check_alternatives(self, name: str, known: Iterable[str] = ()) -> None:
        """Check that probabilities sum to 1, and the names of alternatives."""
        value = getattr(self, name)
        if isinstance(value, dict) and not set(value) <= set(known):
            raise self._error(name, f"expected probabilities of {', '.join(known)}")
        total = sum(value.values() if isinstance(value, dict) else value)
        if abs(total - 1) > 1e-6:
            raise self._error(name, f"probabilities must sum to 1, they sum to {total:g}")


MODES = {
    "standing": 0.30, "sitting": 0.24, "crouching": 0.12, "kneeling": 0.07,
    "lunging": 0.07, "kicking": 0.06, "bending": 0.08, "lying": 0.06,
}  # fmt: skip
SENSORS = {
    "kinect_v2": 0.4, "azure_nfov": 0.15, "kinect_v1": 0.2, "kinect_v1_vga": 0.1, "realsense": 0.15,
}  # fmt: skip


@dataclass(frozen=True)
class PeopleConfig(_Section):
    """Number, poses and size of the people."""

    UNBOUNDED = frozenset({"stature"})

    number: tuple[float, ...] = (0.08, 0.50, 0.26, 0.11, 0.05)
    mocap: float = 0.5
    modes: dict[str, float] = field(default_factory=MODES.copy)
    stature: Range = (1.28, 2.05)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.number) > MAX_PEOPLE + 1:
            raise self._error("number", f"expected probabilities of at most {MAX_PEOPLE} people")
        self._check_alternatives("number")
        self._check_alternatives("modes", MODES)


@dataclass(frozen=True)
class ClothesConfig(_Section):
    """Clothes and hair."""

    probability: float = 0.75
    thickness: Range = (0.0, 0.035)
    folds: float = 0.5
    skirt: float = 0.08
    hair: float = 0.85
    hair_thickness: Range = (0.005, 0.05)


@dataclass(frozen=True)
class ObjectsConfig(_Section):
    """Objects that people hold and carry, and that occlude them."""

    held: float = 0.08
    both_hands: float = 0.1
    backpack: float = 0.05
    occluder: float = 0.2
    table: float = 0.2


@dataclass(frozen=True)
class RoomConfig(_Section):
    """Walls and furniture."""

    UNBOUNDED = frozenset({"furniture"})

    floor: float = 0.95
    back_wall: float = 0.85
    side_wall: float = 0.5
    ceiling: float = 0.4
    furniture: float = 2.5
    seat: float = 0.95
    bed: float = 0.4


@dataclass(frozen=True)
class CamerasConfig(_Section):
    """Position and orientation of the cameras."""

    UNBOUNDED = frozenset({"views", "height", "distance", "near_distance"})
    SIGNED = frozenset({"pitch"})

    views: int = 2
    sensors: dict[str, float] = field(default_factory=SENSORS.copy)
    height: Range = (0.3, 2.2)
    distance: Range = (1.5, 5.0)
    near: float = 0.15
    near_distance: Range = (0.9, 1.5)
    aimed: float = 0.65
    aim_sigma: float = 0.16
    level_sigma: float = 0.1
    pitch: Range = (-0.9, 0.6)
    roll_sigma: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.views < 1:
            raise self._error("views", "expected at least 1")
        self._check_alternatives("sensors", SENSORS)


@dataclass(frozen=True)
class NoiseConfig(_Section):
    """Measurement model of the sensors."""

    UNBOUNDED = frozenset({"strength"})

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
class CropsConfig(_Section):
    """Errors of the crop's position, and background removal."""

    max_offset: float = 0.13
    depth_bias: float = 0.1
    depth_sigma: float = 0.06
    background_removed: float = 0.22
    frame_background_removed: float = 0.15

    def sample(self, joints: NDArray[np.floating], rng: np.random.Generator) -> CropFrame:
        """A crop around a person's joints (19, 3), optical frame, with the errors of a detector."""
        centre = joints[INDEX["MiddleSpine"]].astype(np.float64)
        centre[:2] += rng.uniform(-self.max_offset, self.max_offset, 2)
        centre[2] += rng.normal(-self.depth_bias, self.depth_sigma)
        return frame_around(centre)


@dataclass(frozen=True)
class GeneratorConfig:
    """All options."""

    people: PeopleConfig = field(default_factory=PeopleConfig)
    clothes: ClothesConfig = field(default_factory=ClothesConfig)
    objects: ObjectsConfig = field(default_factory=ObjectsConfig)
    room: RoomConfig = field(default_factory=RoomConfig)
    cameras: CamerasConfig = field(default_factory=CamerasConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    crops: CropsConfig = field(default_factory=CropsConfig)

    def as_dict(self) -> dict[str, Any]:
        """Nested dictionaries with plain lists, as YAML and JSON write them."""
        return {
            section: {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
            for section, values in asdict(self).items()
        }


def load(path: Path | None) -> GeneratorConfig:
    """Read a YAML file; None for the defaults.

    Raises:
        GeneratorConfigError: the file is not valid; names file and option.
    """
    if path is None:
        return GeneratorConfig()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise GeneratorConfigError(f"{path} is not YAML: {error}") from error
    try:
        return parse({} if content is None else content)
    except GeneratorConfigError as error:
        raise GeneratorConfigError(f"{path}: {error}") from error


def parse(content: object) -> GeneratorConfig:
    """Nested mappings as a configuration.

    Raises:
        GeneratorConfigError: an option is unknown, or its value is not valid.
    """
    if not isinstance(content, Mapping):
        raise GeneratorConfigError(f"expected a mapping of sections, got {content!r}")
    for name, section in content.items():
        if not isinstance(section, Mapping):
            raise GeneratorConfigError(f"{name}: expected a mapping of options, got {section!r}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(GeneratorConfig)
    try:
        values: Namespace = parser.parse_object(dict(content))
        made: GeneratorConfig = GeneratorConfig(**vars(parser.instantiate(values)))
    except GeneratorConfigError:
        raise
    except ArgumentError as error:
        raise GeneratorConfigError(" ".join(str(error).split())) from error
    return made
