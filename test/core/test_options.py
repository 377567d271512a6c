"""Options: every field is described, defaults are allowed and other values are checked."""

import math
from dataclasses import dataclass, fields

import pytest

from depth_pose_ros.core.options import Checked, EstimatorOptions, constraints, option
from depth_pose_ros.core.tracking.options import TrackerOptions


@dataclass(frozen=True)
class _Example(Checked):
    count: int = option(2, "A number.", low=1, high=4)
    scale: float = option(1.0, "A number without limits.")
    mode: str = option("fast", "A string.", pattern="fast|slow")
    flag: bool = option(False, "A switch.", low=1, high=4)


@pytest.mark.parametrize("options", [EstimatorOptions, TrackerOptions])
def test_every_field_has_a_description(options: type[Checked]) -> None:
    found = constraints(options)
    assert list(found) == [f.name for f in fields(options)]
    for constraint in found.values():
        assert constraint.description[0].isupper()
        assert constraint.description.endswith(".")
        assert (constraint.low is None) == (constraint.high is None)


@pytest.mark.parametrize("options", [EstimatorOptions, TrackerOptions])
def test_limits_of_every_number_are_checked(options: type[Checked]) -> None:
    options()
    for name, constraint in constraints(options).items():
        if constraint.low is None or constraint.high is None:
            continue
        for value in (constraint.low, constraint.high):
            options(**{name: value})
        for value in (constraint.low - 0.5, constraint.high + 0.5, math.nan, math.inf):
            with pytest.raises(ValueError, match=name):
                options(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 0, "count must be between 1 and 4, got 0"),
        ("scale", math.inf, "scale must be a finite number, got inf"),
        ("mode", "faster", r"mode must match fast\|slow, got 'faster'"),
    ],
)
def test_message_names_the_option(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _Example(**{name: value})  # type: ignore[arg-type]


def test_limits_do_not_apply_to_booleans() -> None:
    assert _Example(flag=True).flag


@pytest.mark.parametrize(
    ("name", "value"),
    [("device", "gpu"), ("device", "cuda:x"), ("backend", "onnx"), ("stage", "tree")],
)
def test_unknown_names_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must match"):
        EstimatorOptions(**{name: value})
