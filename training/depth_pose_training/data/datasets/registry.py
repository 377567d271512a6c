"""All datasets by name, with their options."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from depth_pose_training.configs.cli import option
from depth_pose_training.data.datasets.base import DatasetError, LabelledFrames
from depth_pose_training.data.datasets.itop import Itop
from depth_pose_training.data.datasets.k2hgd import K2hgd
from depth_pose_training.data.datasets.synthetic import RenderedFrames, SyntheticShards
from depth_pose_training.data.datasets.utd_mhad import UtdMhad


def _synthetic(root: Path | None, motion: list[Path] | None = None, **options: Any) -> Any:
    if motion:
        return RenderedFrames(motion, **options)
    if root is None:
        raise DatasetError("synthetic needs --root, a folder of shards, or --motion")
    return SyntheticShards(root, **options)


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset and its options.

    Attributes:
        make: function of root and options that returns the dataset.
        options: names of the options.
        training: options that select the frames for training and for fitting adapters.
        evaluation: options that select the frames for evaluation.
    """

    make: Callable[..., LabelledFrames]
    options: tuple[str, ...]
    training: dict[str, Any]
    evaluation: dict[str, Any]


DATASETS: dict[str, DatasetEntry] = {
    "utd_mhad": DatasetEntry(
        UtdMhad,
        ("subjects", "actions", "min_consistent", "stride", "trust"),
        {"subjects": [1, 3, 5]},
        {"subjects": [7]},
    ),
    "k2hgd": DatasetEntry(
        K2hgd, ("split", "stride", "scale"), {"split": "train"}, {"split": "test"}
    ),
    "itop": DatasetEntry(Itop, ("view", "split", "stride"), {"split": "train"}, {"split": "test"}),
    "synthetic": DatasetEntry(
        _synthetic, ("kind", "people", "stride", "motion", "count", "seed", "generator"), {}, {}
    ),
}


def open(name: str, root: str | Path | None, **options: Any) -> LabelledFrames:
    """Open a dataset; frames are read on access.

    Args:
        name: one of :data:`DATASETS`.
        root: its folder.
        options: see the class of the dataset; None keeps the default.

    Raises:
        DatasetError: unknown dataset, unknown option, or wrong files.
    """
    if name not in DATASETS:
        raise DatasetError(f"no dataset {name!r}: there are {', '.join(DATASETS)}")
    given = {k: v for k, v in options.items() if v is not None}
    unknown = sorted(set(given) - set(DATASETS[name].options))
    if unknown:
        raise DatasetError(
            f"{name} does not take {', '.join(unknown)}: it takes "
            f"{', '.join(DATASETS[name].options)}"
        )
    if root is None and name != "synthetic":
        raise DatasetError(f"{name} needs its folder: --root")
    try:
        return DATASETS[name].make(root, **given)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, DatasetError) else DatasetError(str(error)) from error


@dataclass(frozen=True)
class DatasetOptions:
    """Command-line options of :func:`open` and of all datasets."""

    data: Literal["utd_mhad", "k2hgd", "itop", "synthetic"] = option("dataset", "utd_mhad")
    root: Path | None = option("folder of the dataset", None)
    stride: int | None = option("use every n-th frame", None)
    subjects: tuple[int, ...] = option("utd_mhad: subjects", ())
    actions: tuple[int, ...] = option("utd_mhad: actions (default: all)", ())
    min_consistent: int | None = option(
        "utd_mhad: minimum number of the 20 joints that agree with the depth (default: 18)", None
    )
    trust: Literal["all", "consistent"] | None = option(
        "utd_mhad: all joints of a frame, or only those that agree with the depth", None
    )
    split: Literal["train", "test"] | None = option("k2hgd, itop (default: test)", None)
    scale: float | None = option("k2hgd: meters per gray level of 8-bit images", None)
    view: Literal["side", "top"] | None = option("itop (default: side)", None)
    kind: Literal["frames", "crops"] | None = option(
        "synthetic shards: whole frames or crops", None
    )
    people: int | None = option("synthetic shards: number of people in a frame", None)
    motion: tuple[Path, ...] = option(
        "synthetic: render frames with this motion capture instead of shards", ()
    )
    count: int | None = option("synthetic, rendered: number of frames", None)
    generator: Path | None = option("synthetic, rendered: YAML file of the generator", None)


def chosen(options: DatasetOptions) -> dict[str, Any]:
    """Dataset options given on a command line, without ``--seed``."""
    names = sorted({name for kind in DATASETS.values() for name in kind.options} - {"seed"})
    values = {name: getattr(options, name) for name in names}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None and value != ()
    }
