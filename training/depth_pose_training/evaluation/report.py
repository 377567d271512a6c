"""The report format of all evaluation commands: a Markdown table and a JSON file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_pose_training.engine.checkpoints import write_text


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, columns padded to equal width; the first column is left-aligned."""
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(columns))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    lines = []
    for row in (cells[0], rule, *cells[1:]):
        padded = [row[0].ljust(widths[0])]
        padded += [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def results_table(
    first: str, results: Mapping[str, Mapping[str, Any]], columns: Sequence[str] | None = None
) -> str:
    """Results by name as a Markdown table: integers as they are, others to 4 significant digits.

    Args:
        first: header of the first column, which holds the names.
        results: numbers by row and column; None is printed as "-".
        columns: keys to print; by default all of the first row.
    """
    columns = list(next(iter(results.values()))) if columns is None else columns
    rows = [[name, *(cell(row[c]) for c in columns)] for name, row in results.items()]
    return markdown_table([first, *columns], rows)


def cell(value: Any) -> str:
    """A number as text, see :func:`results_table`."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(value: float | None) -> str:
    """A share in [0, 1] as text, "-" for None."""
    return "-" if value is None else f"{100 * value:.1f} %"


def number(value: float | None, digits: int = 1) -> str:
    """A number as text, "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def plain(value: float, digits: int = 6) -> float | None:
    """A rounded built-in number for JSON; None for NaN and infinity."""
    return round(float(value), digits) if np.isfinite(value) else None


def ratio(part: float, whole: float, digits: int = 4) -> float | None:
    """``part / whole``, rounded; None where ``whole`` is 0."""
    return round(float(part) / float(whole), digits) if whole else None


def write_json(path: Path, results: Mapping[str, Any], **header: Any) -> None:
    """Write ``{**header, "results": results}``; makes the folder if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({**header, "results": results}, indent=1, default=str) + "\n")
