"""Finds the compiled code made for this processor and loads it."""

import ctypes
import os
import platform
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

SWITCH = "DEPTH_POSE_NATIVE"
_POINTER, _INT, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float

#: {suffix of the file: what /proc/cpuinfo has to say}, fastest first.
_X86 = {
    "avx512": {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"},
    "avx2": {"avx2", "fma"},
}


def library() -> ctypes.CDLL | None:
    """The functions of the ``*.cpp`` beside this file; None where there are none.

    Nor are there any with the environment's DEPTH_POSE_NATIVE=0, to compare or to look for a fault.
    """
    path = None if os.environ.get(SWITCH) == "0" else choose(built(), features())
    return None if path is None else _loaded(path)


def choose(files: Iterable[Path], able: Collection[str]) -> Path | None:
    """The fastest file that runs here.

    Args:
        files: ``_<kind of processor>.<anything>.so``.
        able: the processor's features, as Linux calls them.
    """
    kinds = {path.name.split(".")[0].removeprefix("_"): path for path in files}
    for kind, needed in _X86.items():
        if kind in kinds and needed <= set(able):
            return kinds[kind]
    return kinds.get(platform.machine())


def built() -> list[Path]:
    """What ``setup.py`` has made."""
    return sorted(Path(__file__).parent.glob("_*.so"))


@cache
def features() -> frozenset[str]:
    """What an x86 processor can do, as Linux calls it; of others nothing is asked."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


@cache
def _loaded(path: Path) -> ctypes.CDLL:
    return declared(ctypes.CDLL(str(path)))


def declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    """A library of these sources with the types of its functions."""
    loaded.matchnet_workspace.argtypes = [_INT] * 3
    loaded.programme_workspace.argtypes = [_INT] * 2
    loaded.matchnet_workspace.restype = loaded.programme_workspace.restype = _LONG
    loaded.matchnet.argtypes = [
        _POINTER, _INT, _INT, _POINTER, _INT, _INT, _POINTER, _POINTER, _INT, _POINTER, _POINTER,
    ]  # fmt: skip
    loaded.programme.argtypes = [
        _POINTER, _POINTER, _POINTER, _POINTER, _FLOAT, _POINTER, _INT, _INT, _INT, _POINTER,
        _POINTER, _POINTER,
    ]  # fmt: skip
    loaded.candidates.argtypes = [
        *(_POINTER,) * 4, *(_INT,) * 4, _POINTER, _INT, _INT, *(_POINTER,) * 3, _INT,
        *(_POINTER,) * 6,
    ]  # fmt: skip
    loaded.readout.argtypes = [*(_POINTER,) * 7, *(_INT,) * 4, _POINTER, _INT, *(_POINTER,) * 4]
    loaded.person.argtypes = [_POINTER, _INT, *(_POINTER,) * 3, _INT]
    loaded.person.restype = _FLOAT
    for function in (loaded.matchnet, loaded.programme, loaded.candidates, loaded.readout):
        function.restype = None
    return loaded
