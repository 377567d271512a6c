"""Options: one definition of each, with its default, meaning and allowed values.

Options are frozen dataclasses whose fields are made by :func:`option`.  The node's parameters, the
launch arguments and the README's table are generated from them.
"""

import math
import re
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

Value = bool | int | float | str
#: When a node parameter may change: at any time, only while the node is unconfigured, or only at
#: start.
Change = Literal["any time", "unconfigured", "start"]


@dataclass(frozen=True)
class Constraint:
    """What a field's value must satisfy, and how it is explained.

    Attributes:
        description: one or two plain sentences, with units.
        low, high: inclusive limits of a number.
        pattern: regular expression that a string must match as a whole.
        change: when the node parameter of this name may change.
        parameter: whether there is such a node parameter.
    """

    description: str
    low: float | None = None
    high: float | None = None
    pattern: str = ""
    change: Change = "any time"
    parameter: bool = True

    def check(self, name: str, value: Value) -> None:
        """Raise ValueError, naming ``name``, if the value is not allowed."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value}")
            if (
                self.low is not None
                and self.high is not None
                and not self.low <= value <= self.high
            ):
                raise ValueError(
                    f"{name} must be between {self.low:g} and {self.high:g}, got {value}"
                )
        if self.pattern and not re.fullmatch(self.pattern, str(value)):
            raise ValueError(f"{name} must match {self.pattern}, got {value!r}")


def option(
    default: Value,
    description: str,
    low: float | None = None,
    high: float | None = None,
    pattern: str = "",
    change: Change = "any time",
    parameter: bool = True,
) -> Any:
    """A dataclass field with a :class:`Constraint`; the arguments are that class's."""
    return field(
        default=default,
        metadata={"constraint": Constraint(description, low, high, pattern, change, parameter)},
    )


def constraints(options: type | object) -> dict[str, Constraint]:
    """The constraint of every field of an options class that has one, by the field's name."""
    return {
        f.name: f.metadata["constraint"]
        for f in fields(options)  # type: ignore[arg-type]
        if "constraint" in f.metadata
    }


class Checked:
    """Base of options classes: checks every field when the instance is made."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __post_init__(self) -> None:
        for name, constraint in constraints(self).items():
            constraint.check(name, getattr(self, name))


@dataclass(frozen=True)
class EstimatorOptions(Checked):
    """Options of :class:`depth_pose_ros.PoseEstimator`.

    Raises:
        ValueError: a value out of its range; names the option.
    """

    model: str = option(
        "",
        "Name of a shipped model (compact, paper) or path of a .safetensors file. Empty: compact.",
        change="unconfigured",
    )
    device: str = option(
        "auto",
        "Device that runs the networks: auto (a GPU if there is one), cpu, cuda or cuda:<number>.",
        pattern=r"auto|cpu|cuda(:\d+)?",
        change="unconfigured",
    )
    backend: str = option(
        "auto",
        "Inference backend: torch, openvino, openvino-int8 (quantized FCN) or auto (the fastest "
        "that is installed).",
        pattern="auto|torch|openvino|openvino-int8",
        change="unconfigured",
    )
    threads: int = option(
        2, "CPU threads used by the networks.", low=1, high=64, change="unconfigured"
    )
    flip_test: bool = option(
        False,
        "Average the FCN's output with that of the flipped crop (test-time augmentation). Slightly "
        "more accurate; the FCN runs twice.",
        change="unconfigured",
    )
    max_people: int = option(
        6,
        "Maximum number of people per image; the highest scores are kept.",
        low=1,
        high=32,
        change="unconfigured",
    )
    min_person_score: float = option(
        0.5,
        "Minimum person score in [0, 1]; people with lower scores are discarded. With 0 all "
        "detections are returned, whatever their bone lengths.",
        low=0.0,
        high=1.0,
        change="unconfigured",
    )
    max_distance: float = option(
        5.5,
        "Maximum distance of a person from the camera along its optical axis, in metres. The "
        "shipped weights were trained on people at up to 5 m.",
        low=0.5,
        high=100.0,
        change="unconfigured",
    )
    stage: str = option(
        "full",
        "Last stage of the method that runs, for ablations: fcn, matchnet (unary terms) or full.",
        pattern="fcn|matchnet|full",
        change="unconfigured",
        parameter=False,
    )
