"""Writes the generated tables of the README, the model cards and docs/.

A table stands between two comments, ``<!-- table NAME -->`` and ``<!-- end -->``.  NAME is
``<file>.<table>`` for a table of models/compact.json, models/paper.json or docs/speed.json;
``parameters``, ``accuracy`` or ``speed`` for a table of the README.

Usage: python scripts/write_docs.py [--check]
``--check`` writes nothing and fails if a page is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "docs/development_log.md",
    "docs/speed.md",
    "models/compact.md",
    "models/paper.md",
)
TABLES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text())["tables"]
    for path in (
        ROOT / name for name in ("models/compact.json", "models/paper.json", "docs/speed.json")
    )
}
BLOCK = re.compile(r"(<!-- table ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)

AVERAGE = "PDJ average (%)"
ERROR = "3-D error (mm)"
ROOMS = ("rooms C", "these")
#: The README's table of accuracy: measure, table, row (compared with its first cells), column.
ACCURACY: tuple[tuple[str, str, tuple[Any, ...], str], ...] = (
    ("Real person: PDJ 0.20 (%)", "real_people", ("full",), "PDJ 0.20 (%)"),
    (f"Real person: {AVERAGE}", "real_people", ("full",), AVERAGE),
    (f"Real person: mean {ERROR}", "real_people", ("full",), ERROR),
    (f"Rendered people: {AVERAGE}", "synthetic", ("full",), AVERAGE),
    (
        f"Rendered, visible joints: {AVERAGE}",
        "synthetic",
        ("full, visible joints",),
        AVERAGE,
    ),
    (f"Rendered, hidden joints: {AVERAGE}", "synthetic", ("full, hidden joints",), AVERAGE),
    (f"Rendered people: mean {ERROR}", "synthetic", ("full",), ERROR),
    (
        "Rendered rooms: people detected (%)",
        "detection",
        ROOMS,
        "people with 6 or more visible joints (%)",
    ),
    (
        "Real empty rooms with a false positive (%)",
        "real_scenes",
        ("these",),
        "with a false positive (%)",
    ),
)


def markdown(columns: list[str], rows: list[list[Any]]) -> str:
    """A table; the numbers of a column get the same count of decimals."""
    decimals = [
        max(
            (len(str(row[i]).split(".")[1]) for row in rows if isinstance(row[i], float)), default=0
        )
        for i in range(len(columns))
    ]
    cells = [
        [
            f"{v:.{n}f}" if isinstance(v, int | float) else v
            for v, n in zip(row, decimals, strict=True)
        ]
        for row in rows
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in [columns, ["---"] * len(columns), *cells])


def recorded(name: str) -> str:
    """A table of a JSON file, with its data, its date and the commands that measured it."""
    file, _, key = name.partition(".")
    table = TABLES[file][key]
    commands = table["command"] if isinstance(table["command"], list) else [table["command"]]
    listing = ", ".join(f"`{command}`" for command in commands)
    text = f"{table['data']}. Measured on {table['measured']}: {listing}."
    return f"{markdown(table['columns'], table['rows'])}\n{text}\n"


def value(file: str, table: str, row: tuple[Any, ...], column: str) -> str:
    """One cell of a recorded table as text; empty if the file lacks the table."""
    if table not in TABLES[file]:
        return ""
    columns, rows = (TABLES[file][table][key] for key in ("columns", "rows"))
    (found,) = (r for r in rows if tuple(r[: len(row)]) == row)
    return str(found[columns.index(column)])


def accuracy() -> str:
    rows = [
        [measure, *(value(model, table, row, column) for model in ("compact", "paper"))]
        for measure, table, row, column in ACCURACY
    ]
    return markdown(["measure", "`compact`", "`paper`"], rows)


def speed() -> str:
    fast, slow = (
        {row[0].partition(" (")[0]: row for row in TABLES["speed"][name]["rows"]}
        for name in ("avx512", "avx2")
    )
    rows = [
        [name, fast[name][2], fast[name][4], " and ".join(sorted(slow[name][4:], key=float))]
        for name in slow
        if name in fast and (not fast[name][1] or re.search("node|media|rss|first", fast[name][1]))
    ]
    return markdown(["measure", "unit", "2 cores, AVX-512", "2 slower cores, AVX2, two runs"], rows)


def parameters() -> str:
    from depth_pose_ros.ros.options import parameter_table

    rows: list[list[Any]] = [[f"`{n}`", f"`{d}`", text] for n, d, text in parameter_table()]
    return markdown(["name", "default", "description"], rows)


def table(name: str) -> str:
    own = {"accuracy": accuracy, "speed": speed, "parameters": parameters}
    return own[name]() if name in own else recorded(name)


def main() -> int:
    out_of_date = []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text()
        written = BLOCK.sub(lambda m: f"{m[1]}{table(m[2])}{m[3]}", text)
        if written == text:
            continue
        out_of_date.append(name)
        if "--check" not in sys.argv[1:]:
            page.write_text(written)
    if out_of_date and "--check" in sys.argv[1:]:
        print(f"out of date: {', '.join(out_of_date)}; run `make docs`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
