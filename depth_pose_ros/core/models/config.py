"""The model's configuration: stored in the weights file."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

FcnName = Literal["compact", "paper"]
Readout = Literal["best", "marginals"]


class ConfigError(ValueError):
    """The configuration names something unknown or contradicts itself."""


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a :class:`depth_pose_ros.core.models.pose_network.PoseNetwork`.

    Attributes:
        name: free text.
        fcn: which fully convolutional network, ``"compact"`` (ours) or ``"paper"`` (Fig. 3).
        fcn_blocks: residual blocks at stride 16 of the compact FCN.
        fcn_up_blocks: its residual blocks at stride 8 on the way up.
        fcn_fine_blocks: its residual blocks at stride 4 on the way up.
        window: side of the square of proposals round the coarse maximum, pixels (n = window**2).
        patch: side of the patch that MatchNet compares, crop pixels.
        templates: T, templates per part.
        tower: channels of MatchNet's five tower layers (Fig. 5).
        metric_units: widths of the two fully connected layers on the joined tower features.
        shared_tower: one tower for all parts instead of the paper's theta_u^k per part.
        heat_unary: extension; the FCN's own log-heat at the proposal is one more unary feature.
        displacement: extension; psi is taken of the displacement minus its prediction by the FCN.
        readout: ``"best"``, the highest scoring configuration (Eqn. 5), or, an extension,
            ``"marginals"``, the expectation under the tree's sum-product marginals.
        person: extension; whether the compact FCN has a person classifier.

    Raises:
        ConfigError: a value outside its range.
    """

    name: str = ""
    fcn: FcnName = "compact"
    fcn_blocks: int = 2
    fcn_up_blocks: int = 1
    fcn_fine_blocks: int = 1
    window: int = 17
    patch: int = 32
    templates: int = 10
    tower: tuple[int, int, int, int, int] = (24, 64, 96, 96, 64)
    metric_units: tuple[int, int] = (256, 256)
    shared_tower: bool = False
    heat_unary: bool = False
    displacement: bool = False
    readout: Readout = "best"
    person: bool = False

    def __post_init__(self) -> None:
        for field, names in (("fcn", get_args(FcnName)), ("readout", get_args(Readout))):
            if getattr(self, field) not in names:
                raise ConfigError(f"{field} must be one of {names}, got {getattr(self, field)!r}")
        for field in ("shared_tower", "heat_unary", "displacement", "person"):
            if not isinstance(getattr(self, field), bool):
                raise ConfigError(f"{field} must be true or false, got {getattr(self, field)!r}")
        for field, length in (("tower", 5), ("metric_units", 2)):
            value = getattr(self, field)
            if not (isinstance(value, tuple) and len(value) == length and all(map(_size, value))):
                raise ConfigError(f"{field} must be {length} positive integers, got {value!r}")
        if self.person and self.fcn != "compact":
            raise ConfigError(f"person needs the compact fcn, not {self.fcn!r}")
        for field in (
            "fcn_blocks",
            "fcn_up_blocks",
            "fcn_fine_blocks",
            "window",
            "patch",
            "templates",
        ):
            if not _size(getattr(self, field)):
                raise ConfigError(
                    f"{field} must be a positive integer, got {getattr(self, field)!r}"
                )
        if self.window % 2 == 0:
            raise ConfigError(f"window must be odd, so that it has a centre, got {self.window}")
        if self.patch % 8:
            raise ConfigError(
                f"patch must be a multiple of 8, the tower's stride, got {self.patch}"
            )
        if not isinstance(self.name, str):
            raise ConfigError(f"name must be text, got {self.name!r}")

    @property
    def proposals(self) -> int:
        """n, proposals per part."""
        return self.window**2

    def to_json(self) -> str:
        """The configuration as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Inverse of :meth:`to_json`; keys left out take their defaults.

        Raises:
            ConfigError: not a JSON object, an unknown key or a bad value.
        """
        try:
            data: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"model configuration is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"model configuration must be a JSON object, got {text[:80]!r}")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ConfigError(
                f"unknown keys in the model configuration: {', '.join(unknown)} "
                f"(known: {', '.join(sorted(known))}); was it written by a newer version?"
            )
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**values)


def paper() -> ModelConfig:
    """The method as printed (Wang et al., 2016): no extensions."""
    return ModelConfig(name="paper", fcn="paper")


def compact() -> ModelConfig:
    """The small model for two CPU cores, with the extensions."""
    return ModelConfig(
        name="compact",
        fcn="compact",
        fcn_blocks=8,
        fcn_up_blocks=5,
        fcn_fine_blocks=2,
        tower=(16, 16, 32, 32, 16),
        metric_units=(32, 32),
        shared_tower=True,
        heat_unary=True,
        displacement=True,
        readout="marginals",
    )


def _size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
