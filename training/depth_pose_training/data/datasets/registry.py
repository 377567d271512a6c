"""All datasets by name, with their options, for programmes and for command lines."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_pose_training.data.datasets.base import DatasetError, LabelledFrames
from depth_pose_training.data.datasets.itop import Itop
from depth_pose_training.data.datasets.k2hgd import K2hgd
from depth_pose_training.data.datasets.synthetic import SyntheticShards, SyntheticStream
from depth_pose_training.data.datasets.utd_mhad import UtdMhad


def _synthetic(root: Path | None, motion: list[Path] | None = None, **options: Any) -> Any:
    if motion:
        return SyntheticStream(motion, **options)
    if root is None:
        raise DatasetError("synthetic frames need --root, a folder of shards, or --motion")
    return SyntheticShards(root, **options)


@dataclass(frozen=True)
class Kind:
    """A dataset: what opens it, and the options that it takes.

    Attributes:
        make: root and options -> the dataset.
        options: names of options.
        training: options that choose the frames to learn from, or to fit adapters on.
        evaluation: options that choose the frames to evaluate, none of them among the former.
    """

    make: Callable[..., LabelledFrames]
    options: tuple[str, ...]
    training: dict[str, Any]
    evaluation: dict[str, Any]


DATASETS: dict[str, Kind] = {
    "utd_mhad": Kind(
        UtdMhad,
        ("subjects", "actions", "min_consistent", "stride", "trust"),
        {"subjects": [1, 3, 5]},
        {"subjects": [7]},
    ),
    "k2hgd": Kind(K2hgd, ("split", "stride", "scale"), {"split": "train"}, {"split": "test"}),
    "itop": Kind(Itop, ("view", "split", "stride"), {"split": "train"}, {"split": "test"}),
    "synthetic": Kind(
        _synthetic, ("kind", "people", "stride", "motion", "count", "seed", "config"), {}, {}
    ),
}


def open(name: str, root: str | Path | None, **options: Any) -> LabelledFrames:
    """A dataset by name, read lazily.

    Args:
        name: one of :data:`DATASETS`.
        root: its folder.
        options: see the dataset's class; those that are None keep the default.

    Raises:
        DatasetError: no such dataset, an option that it does not take, or files that do not fit.
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Command-line options for :func:`open`: ``--data``, ``--root``, and all datasets' own."""
    add = parser.add_argument_group("dataset").add_argument
    add("--data", choices=tuple(DATASETS), default="utd_mhad", help="dataset")
    add("--root", type=Path, help="the dataset's folder")
    add("--stride", type=int, help="every n-th frame")
    add("--subjects", type=int, nargs="+", help="utd_mhad: subjects")
    add("--actions", type=int, nargs="+", help="utd_mhad: actions (default: all)")
    add(
        "--min-consistent",
        type=int,
        help="utd_mhad: least of the tracker's 20 joints that agree with the depth (default: 18)",
    )
    add(
        "--trust",
        choices=("all", "consistent"),
        help="utd_mhad: all joints of a frame, or only those that agree with the depth",
    )
    add("--split", choices=("train", "test"), help="k2hgd, itop (default: test)")
    add("--scale", type=float, help="k2hgd: metres of a grey level of 8-bit images")
    add("--view", choices=("side", "top"), help="itop (default: side)")
    add("--kind", choices=("frames", "crops"), help="synthetic shards: whole frames or crops")
    add("--people", type=int, help="synthetic shards: frames with so many people")
    add("--motion", type=Path, nargs="+", help="synthetic: render with this motion, no shards")
    add("--count", type=int, help="synthetic, rendered: how many frames")
    add("--config", type=Path, help="synthetic, rendered: YAML of the generator's config")


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """The options given on a command line; ``--seed`` is the programme's own."""
    names = {name for kind in DATASETS.values() for name in kind.options} - {"seed"}
    return {k: v for k in sorted(names) if (v := getattr(args, k)) is not None}
