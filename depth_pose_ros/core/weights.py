"""Weights on disk: safetensors files that say what they are.

A file holds named modules, each with its configuration as JSON: the pose network is ``pose``;
others may travel with it (a person detector).  Tensors are ``<module>.<parameter>``, floating point
ones in half precision; loading runs no code from the file and gives float32.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.pose_network import PoseNetwork

PROJECT = "depth_pose_ros"  #: value of the metadata key ``project``
FORMAT_VERSION = "2"  #: value of the metadata key ``format_version``
#: Names in files of version 1 and what they are called since: modules, then tensors by module.
_OLD_MODULES = {"finder": "detector"}
_OLD_TENSORS = {
    "pose.surface_offset": "pose.joint_depth_offset",
    "pose.surface_gate": "pose.joint_depth_gate",
}
DEFAULT = "compact"  #: name of the weights used where none is named
POSE = "pose"  #: name of the pose network among a file's modules
SUFFIX = ".safetensors"
ENVIRONMENT = "DEPTH_POSE_MODELS"  #: environment variable: folders to look in first

#: Makes an untrained module from its JSON configuration.
Builder = Callable[[str], nn.Module]


class WeightsError(ValueError):
    """No such weights, or a file that is not what it should be; the message says which and why."""


def save(path: str | os.PathLike[str], model: PoseNetwork) -> None:
    """Write a pose network; see :func:`save_modules`."""
    save_modules(path, {POSE: (model, model.config.to_json())})


def load(path: str | os.PathLike[str]) -> PoseNetwork:
    """Read a pose network written by :func:`save` or among :func:`save_modules`' others.

    Returns:
        It, in evaluation mode, float32 on the CPU.

    Raises:
        WeightsError: a missing, truncated or foreign file, or one that does not fit.
    """
    network = load_modules(path, {POSE: build_pose})[POSE]
    assert isinstance(network, PoseNetwork)
    return network


def build_pose(config: str) -> PoseNetwork:
    """The :data:`Builder` of the pose network."""
    return PoseNetwork(ModelConfig.from_json(config))


def save_modules(
    path: str | os.PathLike[str], modules: Mapping[str, tuple[nn.Module, str]]
) -> None:
    """Write named modules, each with its configuration as JSON, into one file.

    The file appears only when it is complete.

    Raises:
        ValueError: a name with a dot, or weights that are not finite.
    """
    metadata = {"project": PROJECT, "format_version": FORMAT_VERSION}
    tensors: dict[str, Tensor] = {}
    for name, (module, config) in modules.items():
        if not name or "." in name:
            raise ValueError(f"a module's name must be a word without dots, got {name!r}")
        metadata[_config_key(name)] = config
        for key, tensor in module.state_dict().items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise ValueError(f"{name}.{key} holds values that are not finite: not saved")
            tensors[f"{name}.{key}"] = _compress(tensor)
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    _write(tensors, partial, metadata)
    partial.replace(target)


def load_modules(
    path: str | os.PathLike[str], builders: Mapping[str, Builder]
) -> dict[str, nn.Module]:
    """Read named modules; others in the file are left alone.

    Args:
        path: the file.
        builders: for every module wanted, what makes it from its configuration; raises ValueError
            on a bad one.

    Returns:
        The modules, in evaluation mode, float32 on the CPU.

    Raises:
        WeightsError: a missing, truncated or foreign file, a module that is not in it, or one
            whose tensors do not fit its configuration.
    """
    metadata, tensors = _read(Path(path))
    modules = {}
    for name, build in builders.items():
        if _config_key(name) not in metadata:
            there = ", ".join(_names(metadata)) or "none"
            raise WeightsError(f"{path} holds no {name!r} network, only: {there}")
        try:
            module = build(metadata[_config_key(name)])
        except ValueError as error:
            raise WeightsError(f"{path}: the configuration of {name!r} is bad: {error}") from error
        prefix = name + "."
        state = {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}
        wanted = module.state_dict()
        for key in getattr(module, "optional", ()):
            state.setdefault(key, wanted[key])
        _check(path, name, wanted, state)
        module.load_state_dict(state)
        modules[name] = module.eval()
    return modules


def replace(path: str | os.PathLike[str], out: str | os.PathLike[str], **tensors: Tensor) -> None:
    """Copy a file with other tensors for the pose network.

    Args:
        path: the file.
        out: the copy; may be the same.
        tensors: by their names in the pose network.

    Raises:
        WeightsError: a missing, truncated or foreign file, or a tensor that does not fit.
    """
    metadata, kept = _read(Path(path))
    changed = {f"{POSE}.{name}": _compress(tensor) for name, tensor in tensors.items()}
    target = Path(out)
    partial = target.with_name(target.name + ".partial")
    _write({**kept, **changed}, partial, metadata)
    try:
        load(partial)
    except WeightsError:
        partial.unlink()
        raise
    partial.replace(target)


def module_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of the modules in a file.

    Raises:
        WeightsError: a missing, truncated or foreign file.
    """
    return _names(_read(Path(path))[0])


def resolve(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """Find weights by name or path.

    Args:
        name_or_path: a path (it has a folder or ends in .safetensors), or a name to look for as
            ``<name>.safetensors``; None is :data:`DEFAULT`.  A name is looked for in the folders
            of the environment variable DEPTH_POSE_MODELS, in ``models/`` beside the package's
            sources, in ``share/depth_pose_ros/models`` of every sourced workspace, and in that of
            this Python's prefix.

    Returns:
        The file's path.

    Raises:
        WeightsError: it is nowhere; lists where it was looked for.
    """
    name = os.fspath(name_or_path) if name_or_path is not None else DEFAULT
    path = Path(name).expanduser()
    if path.name != name or path.suffix == SUFFIX:
        if path.is_file():
            return path
        raise WeightsError(f"no weights at {path}: there is no such file")
    tried = [folder / (name + SUFFIX) for folder in _folders()]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    places = "\n  ".join(str(candidate) for candidate in tried)
    raise WeightsError(
        f"no weights named {name!r}; give a path, or set {ENVIRONMENT} to their folder. "
        f"Looked for:\n  {places}"
    )


def _folders() -> list[Path]:
    share = Path("share") / PROJECT / "models"
    named = os.environ.get(ENVIRONMENT, "").split(os.pathsep)
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [
        *(Path(folder).expanduser() for folder in named if folder),
        Path(__file__).resolve().parents[2] / "models",
        *(Path(prefix) / share for prefix in prefixes if prefix),
        Path(sys.prefix) / share,
    ]


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    save_file(tensors, path, metadata=metadata)
    path.chmod(0o644)  # safetensors writes for the owner alone: installed copies inherit it


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise WeightsError(f"no weights at {path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("project") != PROJECT:
                raise WeightsError(
                    f"{path} is a safetensors file, but not of {PROJECT}: its metadata says "
                    f"project={metadata.get('project')!r}"
                )
            version = metadata.get("format_version")
            if version not in ("1", FORMAT_VERSION):
                raise WeightsError(
                    f"{path} has format version {version!r}; this version of {PROJECT} reads "
                    f"'1' and {FORMAT_VERSION!r}"
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return _upgraded(metadata, tensors) if version == "1" else (metadata, tensors)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file (truncated, or another format?): {error}"
        ) from error


def _upgraded(
    metadata: dict[str, str], tensors: dict[str, Tensor]
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """A file of version 1 under the names of this version."""

    def tensor_name(name: str) -> str:
        module, _, rest = _OLD_TENSORS.get(name, name).partition(".")
        return f"{_OLD_MODULES.get(module, module)}.{rest}"

    def key(name: str) -> str:
        module = name.removeprefix(_config_key(""))
        return _config_key(_OLD_MODULES[module]) if module in _OLD_MODULES else name

    return (
        {key(k): v for k, v in metadata.items()} | {"format_version": FORMAT_VERSION},
        {tensor_name(k): t for k, t in tensors.items()},
    )


def _check(
    path: str | os.PathLike[str], name: str, wanted: dict[str, Tensor], found: dict[str, Tensor]
) -> None:
    faults = []
    if missing := sorted(set(wanted) - set(found)):
        faults.append(f"missing {_some(missing)}")
    if unknown := sorted(set(found) - set(wanted)):
        faults.append(f"not expecting {_some(unknown)}")
    if reshaped := [
        f"{key} {tuple(found[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in sorted(set(wanted) & set(found))
        if found[key].shape != wanted[key].shape
    ]:
        faults.append(f"sizes differ: {_some(reshaped)}")
    if broken := sorted(
        key for key, tensor in found.items() if not torch.isfinite(tensor.float()).all()
    ):
        faults.append(f"not finite: {_some(broken)}")
    if faults:
        raise WeightsError(
            f"{path}: the tensors of {name!r} do not fit its configuration: {'; '.join(faults)}"
        )


def _some(items: Iterable[str], limit: int = 5) -> str:
    listed = list(items)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def _compress(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor.clone()
    half = tensor.half()
    return half if half.isfinite().all() else tensor.float()


def _names(metadata: Mapping[str, str]) -> list[str]:
    prefix = _config_key("")
    return sorted(key[len(prefix) :] for key in metadata if key.startswith(prefix))


def _config_key(name: str) -> str:
    return f"config.{name}"
